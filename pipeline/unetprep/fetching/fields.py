"""Checks of the fields of a manifest, which is not trusted."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from unetprep.errors import InvalidInput
from unetprep.suggestions import did_you_mean

Table = Mapping[str, Any]

TEXT = r"[^\x00-\x1f\x7f-\x9f]{1,1000}"  # without control characters, which a terminal would interpret
SHA256 = r"[0-9a-f]{64}"
UNKNOWN = "unknown"
URL = r"https?://[A-Za-z0-9.-]{1,253}(?::\d{1,5})?/[A-Za-z0-9._~/%+?&=,:@-]{0,1000}"  # no name or password
ONE_LINE = "a text of one line"
A_SHA256 = "a SHA-256 of 64 digits 0-9 a-f"


def text(table: Table, field: str, where: str, pattern: str = TEXT, allowed: str = ONE_LINE) -> str:
    """The text of a field. Raises InvalidInput if it is not one, or does not match the pattern as a whole."""
    value = table.get(field)
    if not isinstance(value, str) or re.fullmatch(pattern, value, re.ASCII if pattern != TEXT else 0) is None:
        raise InvalidInput(f"{field} in {where} is {_shown(value)}", allowed=allowed)
    return value


def optional_text(table: Table, field: str, where: str, pattern: str = TEXT, allowed: str = ONE_LINE) -> str:
    """The text of a field, "" without it."""
    return text(table, field, where, pattern, allowed) if field in table else ""


def optional_url(table: Table, field: str, where: str) -> str:
    """The URL in a field, "" without it."""
    return optional_text(table, field, where, URL, "a URL that begins with https:// or http://")


def digest(table: Table, field: str, where: str) -> str | None:
    """The digest in a field; None if the field is missing, or says that the digest is unknown."""
    found = optional_text(table, field, where, f"{SHA256}|{UNKNOWN}", f"{A_SHA256}, or {UNKNOWN!r}")
    return None if found in ("", UNKNOWN) else found


def whole_number(table: Table, field: str, where: str, most: int) -> int | None:
    """The number in a field; None without it."""
    value = table.get(field)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most):
        raise InvalidInput(f"{field} in {where} is {_shown(value)}", allowed=f"a whole number from 0 to {most}")
    return value


def sections(tables: Any, field: str, path: object, most: int) -> list[Table]:
    """The sections [[field]]. Raises InvalidInput if the field is something else, or has too many of them."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InvalidInput(f"{field} of {path} are {_shown(tables)}", allowed=f"sections [[{field}]]")
    if len(tables) > most:
        raise InvalidInput(f"{path} lists {len(tables)} {field}", allowed=f"up to {most}")
    return tables


def refuse_unknown(table: Table, known: Sequence[str], where: str) -> None:
    """Raise InvalidInput for a field that is not one of those known: it would be ignored silently."""
    for field in table:
        if field not in known:
            raise InvalidInput(
                f"{where} has a field {field!r}"[:200], allowed=", ".join(known), hint=did_you_mean(field, known)
            )


def _shown(value: object) -> str:
    return "missing" if value is None else repr(value)[:120]
