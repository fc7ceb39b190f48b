"""Base of all parameter classes: fields with defaults, units, limits, help and a text form. Standard library only.

Parameters are numbers, texts, and tuples of them. Command lines and recipes write some of them as text or lists;
`value_from` turns these into values, and is the only place that does.
"""

import re
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from typing import Any, get_args

from unetprep.errors import InvalidInput

LARGEST = 2**64 - 1
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def parameter(
    default: Any,
    help: str,
    *,
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str | int, ...] = (),
    form: tuple[str, str] | None = None,
    parse: Callable[[str], Any] | None = None,
) -> Any:
    """A field of a parameter class: its default, its help, the values it may have, and how text becomes one of them.

    A number is finite and lies between `least` and `most`, both included. A text matches `form`, a pattern and its
    description; no text holds control characters. `parse` turns text such as "4,1,1" into a value, and returns text
    that it does not understand unchanged, for the class to refuse.
    """
    metadata = {"help": help, "least": least, "most": most, "choices": choices, "form": form, "parse": parse}
    return field(default=default, metadata=metadata)


def option_name(field_name: str) -> str:
    """The name of a parameter on the command line and in a recipe."""
    return field_name.removesuffix("_px").replace("_", "-")


# -- text and values --------------------------------------------------------------------------------------------------


def value_from(of: Field[Any], given: Any) -> Any:
    """The value of a parameter, given as a command line or a TOML file writes it: text, number or list."""
    choices, parse = of.metadata["choices"], of.metadata.get("parse")
    if isinstance(given, str | int) and not isinstance(given, bool):
        given = {str(choice): choice for choice in choices}.get(str(given), given)
    if parse is None or isinstance(given, bool):
        return given
    return parse(str(given)) if isinstance(given, str | int | float) else given


def numbers(text: str) -> tuple[float, ...] | str | None:
    """The numbers in a text such as "4,1,1"; None for an empty text; any other text unchanged."""
    return _split(text, float)


def integers(text: str) -> tuple[int, ...] | str | None:
    """The whole numbers in a text such as "1024,2048"; None for an empty text; any other text unchanged."""
    return _split(text, int)


def _split(text: str, kind: Callable[[str], Any]) -> tuple[Any, ...] | str | None:
    try:
        return tuple(map(kind, text.split(","))) if text else None
    except ValueError:
        return text


def as_text(value: Any) -> str:
    """A value as an error names it: numbers as on the command line, "4,1,1"; text in quotes."""
    if isinstance(value, tuple):
        return ",".join(map(as_text, value))
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return str(int(value)) if is_whole else repr(value)


# -- parameter classes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Params:
    """Base of the parameter classes: checks every value against its field's limits."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value, name = _plain(getattr(self, f.name)), option_name(f.name)
            if value is not None:  # None: not given
                _check(name, value, f)
                value = _as_floats(value) if _mentions(f.type, float) else value
            object.__setattr__(self, f.name, value)


def _plain(value: Any) -> Any:
    """A value without types of numpy, and tuples instead of lists."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def _as_floats(value: Any) -> Any:
    """Numbers as floats, so that 5 and 5.0 are one parameter and not two."""
    if isinstance(value, tuple):
        return tuple(map(_as_floats, value))
    try:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
    except OverflowError:  # an integer of hundreds of digits, for the class to refuse
        return value


def _mentions(annotated: Any, kind: type) -> bool:
    """Whether a type is `kind` or has it as a part, such as `tuple[float, ...] | None`."""
    return annotated is kind or any(_mentions(part, kind) for part in get_args(annotated))


def _check(name: str, value: Any, f: Field[Any]) -> None:
    """Raise InvalidInput for a value beyond the limits of its field."""
    choices = f.metadata["choices"]
    if choices and value not in choices:
        raise InvalidInput(f"{name} is {value!r}", allowed=", ".join(map(str, choices)))
    if isinstance(value, str) and not _mentions(f.type, str) and not f.metadata["parse"]:
        raise InvalidInput(f"{name} is {value[:80]!r}", allowed="a number")
    if isinstance(value, int | float) and not isinstance(value, bool):
        _check_number(name, value, f.metadata["least"], f.metadata["most"])
    for text in value if isinstance(value, tuple) else (value,):
        if isinstance(text, str):
            _check_text(name, text, f.metadata["form"])


def _check_number(name: str, value: float, least: float | None, most: float | None) -> None:
    """Raise InvalidInput for a number outside of its field's bounds, or one that is not finite."""
    low, high = -LARGEST if least is None else least, LARGEST if most is None else most
    if low <= value <= high:  # False for NaN
        return
    if most is not None:
        allowed = f"{least} to {most}" if least is not None else f"up to {most}"
    else:
        allowed = "finite numbers" if least is None else f"at least {least}, and finite"
    raise InvalidInput(f"{name} is {str(value)[:80]}", allowed=allowed)


def _check_text(name: str, text: str, form: tuple[str, str] | None) -> None:
    """Raise InvalidInput for control characters, and for a text that does not match the pattern of its field.

    Texts are written to job scripts, logs and messages, in which a line break would begin another line.
    """
    if CONTROL.search(text):
        raise InvalidInput(
            f"{name} is {text[:80]!r}", allowed="a text without line breaks and other control characters"
        )
    if form is not None and text and re.fullmatch(form[0], text) is None:
        raise InvalidInput(f"{name} is {text[:80]!r}", allowed=form[1])
