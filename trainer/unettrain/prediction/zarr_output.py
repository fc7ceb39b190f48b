"""Predictions as Zarr arrays, marked by an attribute."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import zarr

from unetprep.sources.calibration import Calibration
from unettrain.prediction.layout import Band, Layout

CHUNK_COLUMNS = 512


def write_zarr(path: Path, bands: Iterable[Band], layout: Layout, calibration: Calibration | None) -> None:
    """Write a prediction, with the pixel size as attribute. A chunk has the rows of a band."""
    _, _, height, width = layout.shape
    sides = {"y": min(layout.rows, height), "x": min(width, CHUNK_COLUMNS)}
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
    for band in bands:
        pixels = band.pixels if layout.keeps_classes else band.pixels[0]
        slices = (band.z,) if layout.keeps_slices else ()
        array[(..., *slices, slice(band.y0, band.y0 + band.pixels.shape[1]), slice(None))] = pixels


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
