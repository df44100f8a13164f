"""The rooms of `tokmon/`, top-down as in the import layers of pyproject.toml, each with its own docstring."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PROGRAM: Final = Path("tokmon")


def rooms() -> Iterator[str]:
    """A row for each room, top-down."""
    yield "| room | what it is |"
    yield "|---|---|"
    for name in _layers():
        path = _PROGRAM / name
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        shown = f"`{name}/`" if path.is_dir() else f"`{name}`"
        yield f"| {shown} | {_first_paragraph(source)} |"


def _layers() -> Iterator[str]:
    with Path("pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    for layer in layers:
        yield from (name.strip(" ()") for name in layer.replace(":", "|").split("|"))


def _first_paragraph(source: Path) -> str:
    doc = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return " ".join(doc.split("\n\n")[0].split())
