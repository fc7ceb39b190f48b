"""Predictions as Zarr arrays, marked by an attribute."""

import json
from pathlib import Path
from typing import Any

import zarr

from unetprep.sources.calibration import Calibration
from unettrain.prediction.layout import Layout
from unettrain.prediction.windows import ROWS, Read, windows_of

CHUNK_COLUMNS = 512


def write_zarr(path: Path, read: Read, layout: Layout, calibration: Calibration | None) -> None:
    """Write a prediction, with the pixel size as attribute. Windows are whole chunks."""
    _, _, height, width = layout.shape
    sides = {"y": min(ROWS, height), "x": min(width, CHUNK_COLUMNS)}
    about: dict[str, Any] = {"software": layout.mark}
    if calibration:
        sizes = {"z": calibration.z, "y": calibration.y, "x": calibration.x}
        about |= {"spacing": [sizes[axis] for axis in layout.axes if axis != "c"], "unit": calibration.unit or None}
    array = zarr.create_array(
        str(path),
        shape=layout.file_shape,
        dtype="float32",
        chunks=tuple(sides.get(axis, 1) for axis in layout.axes),
        dimension_names=tuple(layout.axes),
        attributes={"unettrain": about},
        config={"write_empty_chunks": True},  # so that a missing chunk is damage
    )
    for window in windows_of(layout.shape):
        pixels = read(window) if layout.keeps_classes else read(window)[0]
        slices = (window.z,) if layout.keeps_slices else ()
        array[(..., *slices, window.rows, window.columns)] = pixels


def zarr_mark(path: Path) -> str:
    """The mark of a folder that holds a marked array and nothing else; "" for any other folder."""
    try:
        document = json.loads((path / "zarr.json").read_bytes())
        mark = document["attributes"]["unettrain"]["software"]
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    if document.get("node_type") != "array" or {entry.name for entry in path.iterdir()} - {"zarr.json", "c"}:
        return ""
    return str(mark)
