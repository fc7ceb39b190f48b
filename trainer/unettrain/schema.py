"""Validation of documents, such as JSON objects and the content of checkpoints, against the fields of a dataclass."""

import types
from dataclasses import MISSING, fields
from typing import Any, Union, get_args, get_origin, get_type_hints

from unettrain.errors import InvalidInput

NAMES = {int: "an integer", float: "a number", bool: "true or false", str: "text", dict: "an object", list: "a list"}


def conforms(value: object, annotated: Any) -> bool:
    """Whether a value is of an annotated type. An integer is a float too; a bool is neither."""
    if annotated is Any:
        return True
    origin, args = get_origin(annotated), get_args(annotated)
    if origin in (Union, types.UnionType):
        return any(conforms(value, arg) for arg in args)
    if origin is dict:
        return isinstance(value, dict) and all(conforms(k, args[0]) and conforms(v, args[1]) for k, v in value.items())
    if origin in (list, tuple):
        if not isinstance(value, origin):
            return False
        wanted = list(args[:1]) * len(value) if origin is list or ... in args else list(args)
        return len(value) == len(wanted) and all(map(conforms, value, wanted))
    if annotated in (int, float):
        return isinstance(value, int | annotated) and not isinstance(value, bool)
    return isinstance(value, annotated or type(None))


def describe_type(annotated: Any) -> str:
    """A type in words, for an error message."""
    if get_origin(annotated) in (Union, types.UnionType):
        return " or ".join(describe_type(arg) for arg in get_args(annotated))
    if annotated in (None, type(None)):
        return "none"
    kind = get_origin(annotated) or annotated
    return NAMES.get(kind, getattr(kind, "__name__", str(kind)))


def check_document(document: object, kind: type, source: str) -> dict[str, Any]:
    """The document if it has a value of the right type for each field of `kind` without a default, and no others.

    Raises InvalidInput that begins with `source` and names the field.
    """
    if not isinstance(document, dict):
        raise InvalidInput(f"{source} is {type(document).__name__}", allowed="an object with named values")
    known = {f.name: f for f in fields(kind)}
    types_of = get_type_hints(kind)
    unknown = sorted(str(name) for name in document if name not in known)
    if unknown:
        raise InvalidInput(
            f"{source} holds {', '.join(unknown)[:200]}, which this version does not know",
            hint="use the release of unettrain that wrote it",
        )
    for name, f in known.items():
        if name not in document and f.default is MISSING and f.default_factory is MISSING:
            raise InvalidInput(f"{source} lacks {name}", hint="restore the file from a backup")
        if name in document and not conforms(document[name], types_of[name]):
            value = f"{document[name]!r}"[:60]
            raise InvalidInput(f"{source} says {name} is {value}", allowed=describe_type(types_of[name]))
    return document
