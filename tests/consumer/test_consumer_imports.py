"""A consumer is light: importing it loads no database, no broker and no worker."""

import subprocess
import sys

HEAVY = [
    "alembic",
    "celery",
    "kombu",
    "psycopg",
    "sqlalchemy",
    "turnline_producer",
    "turnline_workers",
    "typer",
]


def test_importing_the_consumer_loads_nothing_heavy() -> None:
    code = f"import sys, turnline_consumer; print([m for m in {HEAVY!r} if m in sys.modules])"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (result.stdout.strip(), result.stderr) == ("[]", "")
