"""Base of all parameter classes: fields with defaults, units, limits and help. Standard library only."""

import re
from dataclasses import dataclass, field, fields
from typing import Any

from unetprep.errors import InvalidInput

LARGEST = 2**64 - 1
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def parameter(
    default: Any,
    help: str,
    *,
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
    form: tuple[str, str] | None = None,
) -> Any:
    """A field of a parameter class: its default, its help and what it may be.

    A number is finite and lies between `least` and `most`, both included. A text matches `form`, a pattern and what it
    means; no text holds control characters.
    """
    metadata = {"help": help, "least": least, "most": most, "choices": choices, "form": form}
    return field(default=default, metadata=metadata)


def option_name(field_name: str) -> str:
    """The name of a parameter on the command line and in a recipe."""
    return field_name.removesuffix("_px").replace("_", "-")


@dataclass(frozen=True)
class Params:
    """Base of the parameter classes: checks every value against its field's limits."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value, name = getattr(self, f.name), option_name(f.name)
            choices = f.metadata["choices"]
            if value is None:  # not given, where that may be
                continue
            if choices and value not in choices:
                raise InvalidInput(f"{name} is {value!r}", allowed=", ".join(choices))
            if isinstance(value, int | float) and not isinstance(value, bool):
                _check_number(name, value, f.metadata["least"], f.metadata["most"])
            for text in value if isinstance(value, tuple) else (value,):
                if isinstance(text, str):
                    _check_text(name, text, f.metadata["form"])
            if f.type in (float, float | None):
                object.__setattr__(self, f.name, float(value))  # 5 and 5.0 are one parameter, not two


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
    """Raise InvalidInput for control characters, and for a text that is not of its field's form.

    Texts become lines of job scripts, logs and messages, in which a line break would begin another line.
    """
    if CONTROL.search(text):
        raise InvalidInput(
            f"{name} is {text[:80]!r}", allowed="a text without line breaks and other control characters"
        )
    if form is not None and text and re.fullmatch(form[0], text) is None:
        raise InvalidInput(f"{name} is {text[:80]!r}", allowed=form[1])
