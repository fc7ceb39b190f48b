"""`unetprep lint`, and its output."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from unetcli.errors import INVALID
from unetcli.options import Examples, chosen, common, from_fields, result
from unetcli.param_types import Choice
from unetcli.prep.options import with_storage_options
from unetcli.progress import progress
from unetprep.parameter import option_name
from unetprep.params import LINT_RULES, LintParams

if TYPE_CHECKING:
    from unetprep.linting.linter import Linted
    from unetprep.linting.rules import Finding, Place

NUM_PLACES = 5  # of a finding


@click.command(
    cls=Examples,
    short_help="Check labels for faults.",
    examples="unetprep lint masks/\nunetprep lint labels.tif --ignore touching --tiny 20\n"
    "unetprep lint volume.tif --dims 3 --json",
)
@click.argument("labels", nargs=-1, required=True)
@from_fields(LintParams, option_name)
@click.option(
    "--ignore", "ignored", multiple=True, type=Choice(LINT_RULES), help="A rule to leave out; may be repeated."
)
@common
@with_storage_options
def lint(labels: tuple[str, ...], ignored: tuple[str, ...], **values: Any) -> None:
    """Check labels for faults before a network learns from them; nothing is changed.

    LABELS are label images, folders of them, or stores. Exit code 3 means that something was found.

    \b
    empty         no cell at all
    binary        one number for all cells: a mask
    float         real numbers
    overflow      negative or too large values; numbers that did not fit their integer type
    interpolated  fractions, or rims of values between those on both sides
    classes       few numbers in many separate pieces each, or a number for pixels without a label
    split         one cell in several components
    tiny          components of few pixels
    touching      cells without background between them, which is no fault if weights are to separate them
    """
    import unetprep

    with progress("lint", values["quiet"]) as report:
        found = unetprep.lint(labels, chosen(LintParams, values), ignored, report)
    result("lint", as_values(found), as_text(found), values["as_json"])
    if any(image.findings for image in found):
        click.get_current_context().exit(INVALID)


def as_values(images: "Sequence[Linted]") -> dict[str, Any]:
    """The result as values for JSON."""
    return {"findings": sum(len(image.findings) for image in images), "files": [asdict(image) for image in images]}


def as_text(images: "Sequence[Linted]") -> str:
    """The result as text: a line for each image, and a short block for each finding."""
    return "\n".join(line for image in images for line in _image(image))


def _image(image: "Linted") -> list[str]:
    found = len(image.findings)
    said = "nothing found" if not found else "1 finding" if found == 1 else f"{found} findings"
    size = " x ".join(map(str, image.shape))
    cells = "1 cell" if image.cells == 1 else f"{image.cells} cells"
    lines = [f"{image.path}  {size} {image.dtype}, {cells}: {said}"]
    return lines + [line for finding in image.findings for line in _finding(finding)]


def _finding(finding: "Finding") -> list[str]:
    lines = [f"  {finding.rule:<14}{finding.message}"]
    if finding.places:
        places = "   ".join(map(_place, finding.places[:NUM_PLACES]))
        lines.append(f"  {'at:':>12}  {places}" + ("   ..." if len(finding.places) > NUM_PLACES else ""))
    return [*lines, f"  {'to do:':>12}  {finding.hint}"]


def _place(place: "Place") -> str:
    what = ", ".join(f"{name} {value}" for name, value in place.what.items())
    return f"({', '.join(map(str, place.at))}) {what}"
