"""Maps of the errors of a segmentation: the kind of error at each pixel of a slice, and the sign of each error.

Colours are those of Okabe and Ito (2008), which all kinds of colour vision distinguish; signs repeat them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetprep.pictures import Picture, grey
from unettrain.metrics.cell_errors import CellErrors, CellKind, kinds_of_pixels
from unettrain.reporting.pictures import BOTH, MISSED, WRONG, tinted
from unettrain.reporting.region_scores import RegionScores
from unettrain.reporting.regions import SHOWN_PX, densest_window

COLOURS = {
    CellKind.FOUND: BOTH,
    CellKind.MISSED: MISSED,
    CellKind.SPURIOUS: WRONG,
    CellKind.SPLIT: "#f0e442",
    CellKind.MERGED: "#cc79a7",
}
SIGNS = {
    CellKind.MISSED: "\N{MINUS SIGN}",
    CellKind.SPURIOUS: "+",
    CellKind.SPLIT: "/",
    CellKind.MERGED: "&",
}
NO_ERROR = (CellKind.BACKGROUND, CellKind.FOUND, CellKind.IGNORED)
Mark = tuple[float, float, CellKind]  # x, y, kind


@dataclass(frozen=True)
class ErrorMap:
    """One slice of a region: image (c, y, x); true labels, proposed cells, and the kind of each at each pixel (y, x).

    Labels are 0 in the background and -1 where pixels are ignored. Kinds are those of the whole region.
    """

    found: RegionScores
    z: int
    image: NDArray[Any]
    labels: NDArray[np.integer]
    cells: NDArray[np.integer]
    label_kinds: NDArray[np.uint8]
    cell_kinds: NDArray[np.uint8]

    @property
    def is_whole(self) -> bool:
        """Whether it shows all of its region."""
        return self.labels.size == self.found.region.num_pixels

    @property
    def kinds(self) -> NDArray[np.uint8]:
        """The kind shown at each pixel (y, x): that of a false proposal, otherwise that of the true cell."""
        return _combined(self.label_kinds, self.cell_kinds)

    def picture(self) -> Picture:
        """The darkened image with the kinds in colour, (y, x, 3)."""
        return tinted(grey(self.image), [(self.kinds == kind, colour) for kind, colour in COLOURS.items()])

    def marks(self) -> list[Mark]:
        """A mark for each missed and each merged cell, each spurious proposal, and each piece of a split cell."""
        of_cells = _centres(self.labels, self.label_kinds, (CellKind.MISSED, CellKind.MERGED))
        return of_cells + _centres(self.cells, self.cell_kinds, (CellKind.SPURIOUS, CellKind.SPLIT))


def make_error_map(
    found: RegionScores,
    image: NDArray[Any],
    labels: NDArray[np.integer],
    cells: NDArray[np.integer],
    errors: CellErrors,
) -> ErrorMap:
    """The slice with the most wrong pixels of a region, cut to the window with the most of them.

    image (c, z, y, x), labels and cells (z, y, x) of the region; `errors` are theirs.
    """
    label_kinds = kinds_of_pixels(labels, errors.label_kinds)
    cell_kinds = np.where(labels < 0, 0, kinds_of_pixels(cells, errors.proposal_kinds)).astype(np.uint8)
    wrong = ~np.isin(_combined(label_kinds, cell_kinds), NO_ERROR)
    z = int(wrong.sum(axis=(1, 2)).argmax())
    y, x = densest_window(wrong[z], SHOWN_PX)
    return ErrorMap(
        found,
        found.region.z0 + z,
        image[:, z, y, x],
        labels[z, y, x],
        cells[z, y, x],
        label_kinds[z, y, x],
        cell_kinds[z, y, x],
    )


def _combined(label_kinds: NDArray[np.uint8], cell_kinds: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.where(np.isin(cell_kinds, NO_ERROR), label_kinds, cell_kinds)


def _centres(labels: NDArray[np.integer], kinds: NDArray[np.uint8], wanted: tuple[CellKind, ...]) -> list[Mark]:
    """The centre of each cell of the wanted kinds."""
    numbers, first = np.unique(np.where(np.isin(kinds, wanted), labels, 0), return_index=True)
    first, numbers = first[numbers > 0], numbers[numbers > 0]
    if not len(numbers):
        return []
    centres = np.reshape(ndimage.center_of_mass(np.ones(labels.shape), labels, numbers), (-1, 2)) + 0.5
    return [(float(x), float(y), CellKind(kinds.flat[k])) for (y, x), k in zip(centres, first, strict=True)]
