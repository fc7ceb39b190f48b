"""Text and JSON output of `unetprep verify`."""

from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unetprep.verification import Fault, Verified


def as_values(store: str, found: "Verified") -> dict[str, Any]:
    """Everything that was found."""
    return {"store": store, "status": "at fault" if found.faults else "intact", **asdict(found)}


def as_text(store: str, found: "Verified") -> str:
    """A line for each fault, what to do once for those that follow each other, and what was looked at."""
    lines = []
    for to_do, faults in groupby(found.faults, key=lambda fault: fault.to_do):
        lines += [_fault(fault) for fault in faults]
        lines.append(f"{'to do:':>18}  {to_do}")
    lines += [f"note: {note}" for note in found.notes]
    num = len(found.faults)
    said = "intact" if not num else "1 fault" if num == 1 else f"{num} faults"
    again = ", ".join(f"{number} of {kind}" for kind, number in found.recomputed.items() if number)
    looked = f"{found.num_documents} documents and {found.num_shards} shards read"
    return "\n".join([*lines, f"{store}: {said}; {looked}" + (f", computed once more: {again}" if again else "")])


def _fault(fault: "Fault") -> str:
    return f"{fault.kind:<12}{fault.path}: {fault.message}"
