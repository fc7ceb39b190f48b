"""Base of all parameter classes: fields with defaults, units, limits, help and a text form. Standard library only.

Parameters are numbers, texts, and tuples of them. Command lines and recipes write some of them as text or lists;
`value_from` turns these into values, and is the only place that does.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from functools import cache
from typing import Any, ClassVar, get_args, get_type_hints

from unetprep.annotations import conforms, describe_type
from unetprep.errors import InvalidInput, ReportedError
from unetprep.suggestions import did_you_mean

LARGEST = 2**64 - 1
BOUNDS = ("least", "above", "most", "under")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def parameter(
    default: Any,
    help: str,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    under: float | None = None,
    choices: tuple[str | int, ...] = (),
    form: tuple[str, str] | None = None,
    parse: Callable[[str], Any] | None = None,
    changes_result: bool = True,
) -> Any:
    """A field of a parameter class: its default, its help, the values it may have, and how text becomes one of them.

    A number is finite, at least `least` or above `above`, and at most `most` or under `under`. A text matches `form`, a
    pattern and its description; no text holds control characters. `parse` turns text such as "4,1,1" into a value, and
    returns text that it does not understand unchanged, for the class to refuse. `changes_result` False: the parameter
    does not affect what is computed.
    """
    metadata = {"help": help, "choices": choices, "form": form, "parse": parse, "changes_result": changes_result}
    bounds = {"least": least, "above": above, "most": most, "under": under}
    return field(default=default, metadata=metadata | bounds)


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
    """Base of the parameter classes: checks every value against the type and the limits of its field.

    Raises `invalid_input` for a value that is not allowed.
    """

    invalid_input: ClassVar[type[ReportedError]] = InvalidInput

    def __post_init__(self) -> None:
        kind: Any = type(self)  # mypy takes the hash of a class for that of its objects
        types = _types_of(kind)
        for f in fields(self):
            value, annotated = _plain(getattr(self, f.name)), types[f.name]
            if value is not None or not conforms(None, annotated):
                problem = _fault(option_name(f.name), value, f, annotated)
                if problem:
                    near = did_you_mean(str(value), map(str, f.metadata["choices"]))
                    raise self.invalid_input(problem[0], allowed=problem[1], hint=near)
                value = _as_floats(value) if _mentions(annotated, float) else value
            object.__setattr__(self, f.name, value)


@cache
def _types_of(params: type[Params]) -> dict[str, Any]:
    """Types of the fields of a class; looking them up takes longer than all checks."""
    return get_type_hints(params)


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


def _fault(name: str, value: Any, f: Field[Any], annotated: Any) -> tuple[str, str] | None:
    """What is wrong with the value of a field and what is allowed; None for a value that is allowed."""
    choices = f.metadata["choices"]
    if choices and value not in choices:
        return f"{name} is {value!r}"[:200], ", ".join(map(str, choices))
    if not f.metadata["parse"] and not conforms(value, annotated):
        return f"{name} is {value!r}"[:200], describe_type(annotated)
    if isinstance(value, int | float) and not isinstance(value, bool) and not _is_within(value, f):
        return f"{name} is {str(value)[:80]}", _allowed_numbers(f)
    for text in value if isinstance(value, tuple) else (value,):
        if isinstance(text, str) and (problem := _fault_of_text(name, text, f.metadata["form"])):
            return problem
    return None


def _is_within(value: float, f: Field[Any]) -> bool:
    """Whether a number is finite and within the bounds of its field."""
    least, above, most, under = (f.metadata[bound] for bound in BOUNDS)
    largest = LARGEST if isinstance(value, int) else sys.float_info.max
    return (
        -largest <= value <= largest  # False for NaN
        and (least is None or value >= least)
        and (above is None or value > above)
        and (most is None or value <= most)
        and (under is None or value < under)
    )


def _allowed_numbers(f: Field[Any]) -> str:
    least, above, most, under = (f.metadata[bound] for bound in BOUNDS)
    if least is not None and most is not None:
        return f"{least} to {most}"
    lower = f"at least {least}" if least is not None else f"above {above}" if above is not None else ""
    upper = f"up to {most}" if most is not None else f"under {under}" if under is not None else ""
    if not upper:
        return f"{lower}, and finite" if lower else "finite numbers"
    return f"{lower} and {upper}" if lower else upper


def _fault_of_text(name: str, text: str, form: tuple[str, str] | None) -> tuple[str, str] | None:
    """Control characters, or a text that does not match the pattern of its field.

    Texts are written to job scripts, logs and messages, in which a line break would begin another line.
    """
    if CONTROL.search(text):
        return f"{name} is {text[:80]!r}", "a text without line breaks and other control characters"
    if form is not None and text and re.fullmatch(form[0], text) is None:
        return f"{name} is {text[:80]!r}", form[1]
    return None
