"""Run-time checks of values against type annotations, such as `tuple[float, ...] | None`. Standard library only."""

import types
from typing import Any, Union, get_args, get_origin

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
