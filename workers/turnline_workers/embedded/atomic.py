"""Files that are replaced as a whole."""

import os
import threading
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Replace ``path``, readable by its owner only, such that readers see all of it or none."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    draft.unlink(missing_ok=True)
    with open(draft, "x", encoding="utf-8", opener=_private) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
