"""The wire types in a form that another language can use: the extension's types are generated from it."""

from typing import Final

import msgspec
import msgspec.inspect

from tokmon.wire import messages


def schema() -> dict[str, dict[str, tuple[str, bool]]]:
    """The wire types: by type name and field name, the field's type expression and whether it is required.

    Expressions consist of `string`, `number`, `boolean`, `null`, `unknown`, names of wire types, and JSON literals.
    """
    types = msgspec.inspect.multi_type_info(
        (messages.Hello, messages.Capture, messages.Tokens, messages.Usage, messages.Ack, messages.Refusal)
    )
    expressions: dict[str, dict[str, tuple[str, bool]]] = {}
    for struct in types:
        if isinstance(struct, msgspec.inspect.StructType):
            tagged = {str(struct.tag_field): (f'"{struct.tag}"', True)} if struct.tag_field else {}
            fields = {field.encode_name: (_expression(field.type), field.required) for field in struct.fields}
            expressions[struct.cls.__name__] = {**tagged, **fields}
    return expressions


def _expression(kind: msgspec.inspect.Type) -> str:
    match kind:
        case msgspec.inspect.UnionType(types=types):
            return " | ".join(map(_expression, types))
        case msgspec.inspect.LiteralType(values=values):
            return " | ".join(msgspec.json.encode(value).decode() for value in values)
        case msgspec.inspect.StructType(cls=cls):
            return cls.__name__
        case _:
            return _WORDS.get(type(kind), "unknown")


_WORDS: Final[dict[type, str]] = {
    msgspec.inspect.StrType: "string",
    msgspec.inspect.DateTimeType: "string",
    msgspec.inspect.IntType: "number",
    msgspec.inspect.FloatType: "number",
    msgspec.inspect.BoolType: "boolean",
    msgspec.inspect.NoneType: "null",
}
