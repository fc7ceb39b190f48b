"""Layout `ctc`: frames 01/t000.tif with labels 01_GT/SEG/man_seg000.tif, in 2D and 3D.

Source: Cell Tracking Challenge, "Naming and file content conventions".
"""

import re

from unetprep.errors import InvalidInput
from unetprep.params import LayoutParams
from unetprep.sources.folders import Folder, left_out
from unetprep.sources.layouts.data_set import DataSet, Example, Files
from unetprep.sources.naming import FileName

SEQUENCE = re.compile(r"\d\d")
FRAME = re.compile(r"t(\d{3,4})")
LABELS = re.compile(r"man_seg(\d{3,4})")
SLICE_LABELS = re.compile(r"man_seg_(\d{3,4})_(\d{3,4})")
GOLD, SILVER = "GT", "ST"
SPARSE = "gold truth may leave cells of a frame out; what it does not outline counts as background"


def recognise(folder: Folder) -> str:
    """Why a folder has this layout; "" if it has not."""
    found = [
        f"{name}_{kind}" for name in _sequences(folder) for kind in (GOLD, SILVER) if f"{name}_{kind}" in folder.folders
    ]
    return f"{found[0][:2]} and {found[0]}" if found else ""


def plan(folder: Folder, params: LayoutParams) -> DataSet:
    """An example for each frame with labels. `silver` takes those of 01_ST instead of 01_GT."""
    truth = SILVER if params.silver else GOLD
    examples, without, slices = [], [], []
    for name in _sequences(folder):
        frames = _numbered(folder.images_at(name), FRAME)
        found = folder.images_at(f"{name}_{truth}", "SEG")
        labels = _numbered(found, LABELS)
        slices += [file.path for file in found if SLICE_LABELS.fullmatch(file.stem)]
        for number, path in frames.items():
            if number in labels:
                examples.append(Example(f"{name}-t{number}", Files((path,)), Files((labels[number],))))
            else:
                without.append(path)
    if not examples:
        silver = any(f"{name}_{SILVER}" in folder.folders for name in _sequences(folder)) and not params.silver
        raise InvalidInput(
            f"{folder.path} holds no frame with labels NN_{truth}/SEG/man_seg*.tif",
            hint="add --silver: it holds silver truth" if silver else "the markers of NN_GT/TRA are no segmentation",
        )
    kept = (
        *left_out(f"frames without labels in NN_{truth}/SEG", without),
        *left_out("annotations of single slices", slices),
    )
    notes = () if params.silver else (SPARSE,)
    return DataSet("ctc", folder.path, tuple(examples), kept, notes=notes)


def _sequences(folder: Folder) -> list[str]:
    return [name for name in folder.folders if SEQUENCE.fullmatch(name)]


def _numbered(files: list[FileName], form: re.Pattern[str]) -> dict[str, str]:
    """Paths by the number in their names."""
    return {found[1]: file.path for file in files if (found := form.fullmatch(file.stem))}
