"""`tokmon extension`: generate the extension's `schema.ts` from the Python schema."""

import argparse
import sys
from pathlib import Path
from typing import Final

from tokmon.errors import StoreError, reason_of
from tokmon.pi import schema_ts
from tokmon.pi.support import Support, support
from tokmon.report.arguments import parser
from tokmon.store.atomic import write_shared

SUMMARY: Final = "generate the part of the pi extension that comes from the Python schema"


def run(arguments: list[str]) -> int:
    """Write the file if it differs, or compare it; 1 if `--check` or `--supports` finds what is not as it should be."""
    options = _options(arguments)
    if options.supports is not None:
        answer = support(options.supports)
        print(answer)
        return int(answer is Support.OLDER)
    path, text = schema_ts.path(), schema_ts.text()
    if _read(path) == text:
        return 0
    if options.check:
        print(f"error: `{path}` is not what the Python schema gives", file=sys.stderr)
        print("hint: run `tokmon extension`", file=sys.stderr)
        return 1
    try:
        write_shared(path, text.encode(), mode=0o644)
    except OSError as error:
        raise StoreError(
            f"cannot write `{path}`: {reason_of(error)}", hint="run it in a checkout of your own"
        ) from error
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    command_line = parser(
        "extension",
        SUMMARY,
        examples=("tokmon extension", "tokmon extension --check", "tokmon extension --supports 1.5.2"),
        more="It writes `extensions/tokmon/schema.ts`: types, header prefixes, bounds and secret patterns.",
    )
    what = command_line.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is not up to date")
    what.add_argument("--supports", metavar="VERSION", help="exit 0 if this version of pi is supported, else 1")
    return command_line.parse(arguments)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise StoreError(f"cannot read `{path}`: {reason_of(error)}", hint="check its owner and permissions") from error
