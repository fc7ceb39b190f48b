"""State of an array of a store: missing, damaged, unfinished, stale or finished."""

from collections.abc import Callable, Mapping
from typing import Any

from unetprep.format.metadata import DamagedDocument

Record = Callable[[str], Mapping[str, Any]]  # the unetprep attributes at a path; {} for a missing array


def array_state(path: str, record: Record, _above: tuple[str, ...] = ()) -> str:
    """The state of the array at `path`; "damaged" refers to its document.

    An array is stale if one of its inputs is not finished, or no longer has the fingerprint that is recorded for it.
    `record` may raise DamagedDocument.
    """
    try:
        found = record(path)
    except DamagedDocument:
        return "damaged"
    if not found:
        return "missing"
    if not found.get("complete"):
        return "unfinished"
    inputs = {p: then for p, then in found.get("inputs", {}).items() if "/" in p}  # at import, an input is a file
    fresh = path not in _above and all(  # an array that is recorded as its own input is not trusted
        array_state(p, record, (*_above, path)) == "finished" and record(p).get("fingerprint") == then
        for p, then in inputs.items()
    )
    return "finished" if fresh else "stale"
