"""The table of the instances of an image, as CSV."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unetprep.storage.output import OutputKind
from unettrain.decoding.table import Instance
from unettrain.prediction.layout import COMMAND

FIRST = ("label", "class", "z", "area_px", "area_um2", "centroid_y", "centroid_x", "y0", "x0", "y1", "x1")
LAST = "prediction"


def write_table(
    path: Path,
    rows: Iterable[Instance],
    num_channels: int,
    classes: Sequence[int] | NDArray[np.integer] | None,
    pixel_um2: float | None,
    fingerprint: str,
) -> None:
    """Write a row for each instance.

    `classes` are those of the labels, from label 1 on; without them and without `pixel_um2`, the area of a pixel, these
    columns are empty. Centroids are pixel indices; boxes include their first and exclude their last index. The
    last column holds `fingerprint`, that of the labels.
    """
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*FIRST, *(f"mean_{c}" for c in range(num_channels)), LAST])
        for row in rows:
            cell_class = "" if classes is None else int(classes[row.label - 1])
            area = "" if pixel_um2 is None else f"{row.area_px * pixel_um2:.6g}"
            place = (f"{row.centroid_y:.3f}", f"{row.centroid_x:.3f}", row.y0, row.x0, row.y1, row.x1)
            means = (f"{mean:.6g}" for mean in row.mean_intensity)
            writer.writerow([row.label, cell_class, row.z, row.area_px, area, *place, *means, fingerprint])


def is_table(path: Path) -> bool:
    """Whether a file begins with the header of such a table."""
    header = ",".join(FIRST).encode()
    with path.open("rb") as file:
        return file.read(len(header)) == header


def fingerprint_in_table(path: Path) -> str | None:
    """The fingerprint of the labels that a table describes; "" for one of an older release, None without rows."""
    with path.open(newline="") as file:
        first = next(csv.DictReader(file), None)
    return None if first is None else first.get(LAST) or ""


TABLE = OutputKind(COMMAND, (".csv",), is_table)
