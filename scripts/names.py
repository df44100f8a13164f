"""Names in `tokmon/`: no two public classes share one, and none is a word that says nothing alone."""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

EMPTY: Final = frozenset(
    [
        "told",
        "said",
        "seen",
        "found",
        "each",
        "kept",
        "given",
        "asked",
        "looking",
        "ending",
        "placed",
        "ahead",
        "grounds",
        "ours",
        "whose",
        "manager",
        "handler",
        "helper",
        "util",
        "info",
        "process",
    ]
)
"""Words that name no thing: the thing's own name says more."""


def main() -> int:
    """Print every offence with its place; 1 where there is one."""
    classes: dict[str, list[str]] = defaultdict(list)
    offences: list[str] = []
    for path in sorted(Path("tokmon").rglob("*.py")):
        if "_shipped" in path.parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        offences += [f"{path}:{line}: `{name}` names no thing" for line, name in _names(tree) if name in EMPTY]
        if path.parts[0] == "tokmon":
            for name in _public_classes(tree):
                classes[name].append(str(path))
    offences += [
        f"{' and '.join(paths)} both define the class `{name}`" for name, paths in classes.items() if len(paths) > 1
    ]
    for offence in offences:
        print(offence)
    return 1 if offences else 0


def _public_classes(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name


def _names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every name that the code itself gives: functions, classes, parameters, variables, attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name.strip("_")
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg.strip("_")
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id.strip("_")


if __name__ == "__main__":
    sys.exit(main())
