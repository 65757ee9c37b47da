"""What a body's fields may be: one description, by which bodies are read and the OpenAPI page is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from hardtack.serve.refusals import Kind, Refusal

Schema = Mapping[str, Any]
Read = Callable[[Any, str], Any]


@dataclass(frozen=True)
class Shape:
    """What a JSON value may be.

    Attributes:
        schema: in JSON Schema's words.
        read: checks a value that is called by the second argument, and gives what the handler is to have.
    """

    schema: Schema
    read: Read


@dataclass(frozen=True)
class Field:
    """One field of a body.

    Attributes:
        name: its name.
        shape: what it may be; null is as good as nothing where it is not required.
        about: one line.
        required: whether it must be there.
        default: what the handler has where it is not.
    """

    name: str
    shape: Shape
    about: str
    required: bool = False
    default: Any = None


def read_body(fields: Sequence[Field], body: Any) -> dict[str, Any]:
    """The values of a body's fields, by name; fields that are not known are passed over, as clients send many.

    Raises:
        Refusal: the body is not an object, or a field is not what it may be.
    """
    if not isinstance(body, dict):
        refuse("the body must be a JSON object", None)
    values = {}
    for field in fields:
        value = body.get(field.name)
        if value is not None:
            values[field.name] = field.shape.read(value, field.name)
        elif field.required:
            refuse(f"the field `{field.name}` is missing", field.name)
        else:
            values[field.name] = field.default
    return values


def body_schema(fields: Sequence[Field]) -> dict[str, Any]:
    """A body's schema."""
    properties = {}
    for field in fields:
        schema = {**field.shape.schema, "description": field.about}
        if not field.required:
            schema = {"anyOf": [field.shape.schema, {"type": "null"}], "description": field.about}
        properties[field.name] = schema
    required = [field.name for field in fields if field.required]
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def refuse(what: str, param: str | None, kind: Kind = Kind.INVALID) -> NoReturn:
    """Say no to a value."""
    raise Refusal(kind, what, param=param)


def _read_text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        refuse(f"`{name}` must be a string", name)
    return value


def _read_flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        refuse(f"`{name}` must be true or false", name)
    return value


TEXT = Shape({"type": "string"}, _read_text)
FLAG = Shape({"type": "boolean"}, _read_flag)
ANYTHING = Shape({}, lambda value, _: value)


def whole(low: int, high: int = 2**31 - 1) -> Shape:
    """A whole number in a range."""

    def read(value: Any, name: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            refuse(f"`{name}` must be a whole number from {low} to {high}", name)
        return value

    return Shape({"type": "integer", "minimum": low, "maximum": high}, read)


def word(*words: str) -> Shape:
    """One of some words."""

    def read(value: Any, name: str) -> str:
        if not isinstance(value, str) or value not in words:
            refuse(f"`{name}` must be {' or '.join(words)}", name)
        return value

    return Shape({"type": "string", "enum": list(words)}, read)


def many(item: Shape, what: str, *, least: int = 1, most: int | None = None) -> Shape:
    """A list of values of one shape.

    Args:
        item: of each.
        what: the values, in words.
        least: how many there must be.
        most: how many there may be; None: as many as the service takes of texts, which it checks itself.
    """

    def read(value: Any, name: str) -> list[Any]:
        if not isinstance(value, list):
            refuse(f"`{name}` must be a list of {what}", name)
        if len(value) < least:
            refuse(f"`{name}` must not be empty" if least == 1 else f"`{name}` must have {least} {what}", name)
        if most is not None and len(value) > most:
            refuse(f"`{name}` must have {most} {what} or fewer", name, Kind.TOO_LARGE)
        return [item.read(each, f"{name}[{number}]") for number, each in enumerate(value)]

    schema: dict[str, Any] = {"type": "array", "items": item.schema, "minItems": least}
    return Shape(schema if most is None else {**schema, "maxItems": most}, read)


def either(what: str, *shapes: Shape, fits: Sequence[Callable[[Any], bool]]) -> Shape:
    """One of several shapes, told apart at a glance.

    Args:
        what: all of them, in words.
        shapes: in order.
        fits: for each, whether a value is meant to be it.
    """

    def read(value: Any, name: str) -> Any:
        for shape, fit in zip(shapes, fits, strict=True):
            if fit(value):
                return shape.read(value, name)
        refuse(f"`{name}` must be {what}", name)

    return Shape({"anyOf": [shape.schema for shape in shapes]}, read)


def is_text(value: Any) -> bool:
    """Whether a value is a string."""
    return isinstance(value, str)


def is_list(value: Any) -> bool:
    """Whether a value is a list."""
    return isinstance(value, list)


def list_of(kind: type) -> Callable[[Any], bool]:
    """Whether a value is a list that begins with this kind of thing; a bool is no number here."""

    def fits(value: Any) -> bool:
        return isinstance(value, list) and bool(value) and isinstance(value[0], kind) and value[0] is not True

    return fits


TEXTS = either("a string or a list of strings", TEXT, many(TEXT, "strings"), fits=(is_text, is_list))
"""One text or several; a handler has the string, or the list."""
