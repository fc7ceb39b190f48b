"""Result of one check of an installation."""

from dataclasses import dataclass

OK, NOTE, MISSING, FAULT = "ok", "note", "missing", "fault"


@dataclass(frozen=True)
class Check:
    """One check: its `section` (packages, formats, machine, ...), the `name` of what was checked, and what was `found`.

    `state` is "ok"; "note", which a user should know; "missing", which is optional and not installed; or "fault": it is
    there and cannot work. `to_do` is a command or an advice, "" if there is nothing to do.
    """

    section: str
    name: str
    state: str
    found: str
    to_do: str = ""
