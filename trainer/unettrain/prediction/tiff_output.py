"""Predictions as TIFF files, marked by the tag Software.

They are ImageJ hyperstacks, or OME-TIFF in a BigTIFF if 4 GiB are not enough, which ImageJ's own format cannot exceed.
"""

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from unetprep.sources.calibration import Calibration
from unetprep.sources.source import DAMAGED
from unettrain.prediction.layout import Layout
from unettrain.prediction.windows import Read, band_rows, bands_of

STRIP_BYTES = 2**18
IMAGEJ_UNITS = {"micrometer": "um", "nanometer": "nm", "millimeter": "mm", "centimeter": "cm"}
OME_UNITS = {**IMAGEJ_UNITS, "micrometer": "\u00b5m", "meter": "m", "inch": "in", "angstrom": "\u00c5"}
CLASSIC_TIFF_BYTES = 2**32 - 2**27  # offsets of 32 bits end at 4 GiB; the rest is a reserve for incompressible data
PAGE_BYTES = 1024  # most bytes of a page besides its pixels


def write_tiff(path: Path, read: Read, layout: Layout, calibration: Calibration | None) -> None:
    """Write a prediction in compressed strips."""
    width = layout.shape[3]
    axes = "".join(axis for axis in "ZCYX" if axis.lower() in layout.axes)
    shape = tuple(layout.shape["czyx".index(axis.lower())] for axis in axes)
    is_big = needs_big_tiff(layout)
    is_imagej = not is_big and width > 1
    rows = _strip_rows(layout)
    about = _imagej_metadata(calibration, layout) if is_imagej else ome_metadata(calibration, layout)
    with tifffile.TiffWriter(path, bigtiff=is_big, imagej=is_imagej, ome=not is_imagej, byteorder="<") as tiff:
        tiff.write(
            _strips(_bands(read, layout), rows),
            shape=shape,
            dtype=np.float32,
            rowsperstrip=rows,
            compression="zlib",
            photometric="minisblack",
            software=layout.mark,
            metadata={"axes": axes, **about},
            **resolution_tags(calibration),
        )


def needs_big_tiff(layout: Layout) -> bool:
    """Whether a TIFF with offsets of 32 bits might not hold a prediction, even if nothing can be compressed."""
    classes, slices, height, _ = layout.shape
    strips = math.ceil(height / _strip_rows(layout))
    return layout.num_bytes + classes * slices * (PAGE_BYTES + 16 * strips) > CLASSIC_TIFF_BYTES


def _strip_rows(layout: Layout) -> int:
    """Rows of a strip: a divisor of the rows of a band, which are a power of 2, so that no strip spans two bands."""
    most = max(1, STRIP_BYTES // (4 * layout.shape[3]))
    return min(band_rows(layout.shape[3]), 1 << most.bit_length() - 1)


def _bands(read: Read, layout: Layout) -> Iterator[NDArray[np.float32]]:
    """Rows (y, x) of each page in turn. The pages of several classes follow each other within a slice.

    For each class a band is read again, which takes little beside the network; a slice of all classes may be large.
    """
    classes, slices, *sides = layout.shape
    for z in range(slices):
        for c in range(classes):
            yield from (read(replace(window, z=z))[c] for window in bands_of((1, *sides)))


def _strips(parts: Iterable[NDArray[np.float32]], rows: int) -> Iterator[bytes]:
    """Compressed strips. Each part begins with a new strip."""
    with ThreadPoolExecutor() as executor:
        for part in parts:
            strips = (np.ascontiguousarray(part[y : y + rows], "<f4") for y in range(0, len(part), rows))
            yield from executor.map(_compress, strips)


def _compress(strip: NDArray[np.float32]) -> bytes:
    return bytes(imagecodecs.deflate_encode(strip.tobytes()))


def _imagej_metadata(calibration: Calibration | None, layout: Layout) -> dict[str, Any]:
    if calibration is None:
        return {}
    about: dict[str, Any] = {"spacing": calibration.z} if calibration.z and layout.keeps_slices else {}
    unit = IMAGEJ_UNITS.get(calibration.unit, calibration.unit)
    return about | ({"unit": unit} if unit and unit.isascii() else {})


def ome_metadata(calibration: Calibration | None, layout: Layout) -> dict[str, Any]:
    """The pixel size as OME-TIFF states it."""
    unit = OME_UNITS.get(calibration.unit) if calibration else None
    if calibration is None or unit is None:
        return {}
    sizes = {"X": calibration.x, "Y": calibration.y, "Z": calibration.z if layout.keeps_slices else None}
    known = {axis: size for axis, size in sizes.items() if size}
    return {f"PhysicalSize{axis}": size for axis, size in known.items()} | {
        f"PhysicalSize{axis}Unit": unit for axis in known
    }


def resolution_tags(calibration: Calibration | None) -> dict[str, Any]:
    """The resolution tags. TIFF has inches and centimetres only; ImageJ takes the unit from its own metadata."""
    if calibration is None:
        return {}
    unit = {"inch": 2, "centimeter": 3}.get(calibration.unit, 1)
    return {"resolution": (1 / calibration.x, 1 / calibration.y), "resolutionunit": unit}


def tiff_mark(path: Path) -> str:
    """The tag Software of a file; "" for any other file."""
    try:
        with tifffile.TiffFile(path) as tiff:
            return str(tiff.pages.first.software)
    except (*DAMAGED, TypeError, AttributeError):
        return ""
