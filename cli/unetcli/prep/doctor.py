"""`unetprep doctor`."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

import click

from unetcli.errors import INVALID
from unetcli.options import Examples, common, result

if TYPE_CHECKING:
    from unetprep import Check

MOST_SHOWN = 90  # characters of what was found; --json gives all


@click.command(
    cls=Examples,
    short_help="Check this installation and this machine.",
    examples="unetprep doctor\nunetprep doctor /scratch/stores\nunetprep doctor --json > doctor.json",
)
@click.argument("folder", default=".", required=False)
@common
def doctor(folder: str, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Check this installation, this machine, and FOLDER, in which stores and runs shall lie.

    Versions of Python and all packages, extras and image formats with the command that installs each, the GPU that
    torch sees, the schedulers, memory, threads, and what the file system of FOLDER can do. Exit code 3 means that
    something that is installed cannot work; what is missing is no fault. Add the output to a report of a problem.
    """
    import unetprep

    found = unetprep.doctor(folder)
    faults = sum(check.state == "fault" for check in found)
    values = {"status": "at fault" if faults else "ok", "checks": list(map(asdict, found))}
    result("doctor", values, as_text(found), as_json)
    if faults:
        click.get_current_context().exit(INVALID)


def as_text(found: "Sequence[Check]") -> str:
    """A table for each section; what is to be done stands below its check."""
    width = max(len(check.name) for check in found)
    lines = []
    for section, checks in groupby(found, key=lambda check: check.section):
        lines.append(section)
        for check in checks:
            shown = (
                check.found
                if len(check.found) <= MOST_SHOWN or check.state != "ok"
                else check.found[:MOST_SHOWN] + " ..."
            )
            lines.append(f"  {check.state:<9}{check.name:<{width}}  {shown}")
            lines += [f"{'':11}{'':{width}}  to do: {check.to_do}"] if check.to_do else []
    faults = sum(check.state == "fault" for check in found)
    summary = "no fault" if not faults else "1 fault" if faults == 1 else f"{faults} faults"
    return "\n".join([*lines, f"doctor: {summary}"])
