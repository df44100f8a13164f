"""How long the files and functions of `tokmon/` are; exit 1 where one is longer than we allow."""

import ast
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

FILE_LINES: Final = 300
FUNCTION_LINES: Final = 60


def main() -> int:
    """Print median, 90th percentile and longest, then every one that is too long."""
    files: dict[str, int] = {}
    functions: dict[str, int] = {}
    for path in sorted(Path("tokmon").rglob("*.py")):
        if "_shipped" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        files[str(path)] = len(text.splitlines())
        functions.update((f"{path}:{name}", lines) for name, lines in _functions(text))
    print(_summary("files", files))
    print(_summary("functions", functions))
    too_long = [*_beyond(files, FILE_LINES), *_beyond(functions, FUNCTION_LINES)]
    for line in too_long:
        print(line)
    return 1 if too_long else 0


def _functions(text: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            yield node.name, node.end_lineno - node.lineno + 1


def _summary(what: str, sizes: dict[str, int]) -> str:
    longest = max(sizes, key=lambda each: sizes[each])
    p90 = statistics.quantiles(sizes.values(), n=10)[-1]
    return (
        f"      {len(sizes)} {what}: median {statistics.median(sizes.values()):.0f} lines, p90 {p90:.0f}, "
        f"longest {sizes[longest]} ({longest})"
    )


def _beyond(sizes: dict[str, int], limit: int) -> list[str]:
    return [f"{name} has {lines} lines, {limit} are allowed" for name, lines in sizes.items() if lines > limit]


if __name__ == "__main__":
    sys.exit(main())
