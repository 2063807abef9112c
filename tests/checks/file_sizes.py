"""Fails when a tracked Python file is too long to be read at one sitting.

Run by ``make check``.  Above 300 lines: ask why.  Above 500: split it.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

ASK: Final = 300
STOP: Final = 500


def main() -> int:
    """List the long files; 1 if one of them is too long."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", "*.py"], check=True, capture_output=True, text=True
    )
    files = [Path(name) for name in listed.stdout.split("\0") if name]
    lengths = {file: _lines(file) for file in files if file.exists()}
    for file, lines in sorted(lengths.items(), key=lambda entry: -entry[1]):
        if lines > STOP:
            print(f"error: {file} has {lines} lines, more than {STOP}: split it")
        elif lines > ASK:
            print(f"warning: {file} has {lines} lines, more than {ASK}: why?")
    return int(any(lines > STOP for lines in lengths.values()))


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n")


if __name__ == "__main__":
    sys.exit(main())
