"""Runs a verb of tokmon from the checkout that this lies in, with any Python >= 3.11 and before anything is installed.

python3 -I -S -B bootstrap/run.py install [OPTION ...]
"""
# ruff: noqa: INP001 - a program of its own, which no package holds

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tokmon.cli import main

if __name__ == "__main__":
    sys.exit(main())
