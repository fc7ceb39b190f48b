"""Text and JSON output of `unetprep lint`."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unetprep.linting.linter import Linted
    from unetprep.linting.rules import Finding, Place

NUM_PLACES = 5


def as_values(images: "list[Linted]") -> dict[str, Any]:
    """Everything that was found."""
    return {"findings": sum(len(image.findings) for image in images), "files": [asdict(image) for image in images]}


def as_text(images: "list[Linted]") -> str:
    """A line for each image, followed by a short block for each finding."""
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
