"""Render the generated regions of README.md and docs/: `python -m scripts.docs [--check] [--long]`, in the root.

Without an option it writes the pages. `--check` writes nothing, names each page that is out of date, and exits 1 if
there is one. `--long` renders the slow regions too (simulations, some minutes); they stay as they are without it.
"""

import argparse
import sys
from pathlib import Path

from scripts.docs.regions import rendered


def main() -> int:
    """Render every page; 1 if `--check` finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m scripts.docs", allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is out of date")
    parser.add_argument("--long", action="store_true", help="render the simulations too, which takes some minutes")
    options = parser.parse_args()
    outdated = False
    for page in [*Path().glob("*.md"), *sorted(Path("docs").glob("*.md"))]:
        before = page.read_text(encoding="utf-8")
        after = rendered(before, long=options.long)
        if after == before:
            continue
        outdated = True
        if options.check:
            more = " --long" if options.long else ""
            print(f"`{page}` is out of date: run `python -m scripts.docs{more}`")
        else:
            page.write_text(after, encoding="utf-8")
    return int(outdated and options.check)


if __name__ == "__main__":
    sys.exit(main())
