"""The command line: ``turnline``."""

import sys


def main() -> None:
    """Run the command line; say what to install if only the light install is there."""
    try:
        from turnline_workers.cli.commands import app
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("turnline"):
            raise
        sys.exit(
            f"the command line needs more than the light install ({missing.name} is missing);"
            " run: pip install 'turnline[workers]'"
        )
    app()
