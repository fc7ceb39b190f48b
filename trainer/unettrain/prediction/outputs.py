"""Prediction files in TIFF, .npy and Zarr: writing, and recognition of those that `unettrain predict` wrote."""

from collections.abc import Iterable
from pathlib import Path

from unetprep.sources.calibration import Calibration
from unetprep.storage.output import OutputKind
from unettrain.prediction.layout import COMMAND, TIFFS, Band, Layout
from unettrain.prediction.npy_output import is_own_npy, write_npy
from unettrain.prediction.tiff_output import is_own_tiff, write_tiff
from unettrain.prediction.zarr_output import is_own_zarr, write_zarr


def write_prediction(path: Path, bands: Iterable[Band], layout: Layout, calibration: Calibration | None) -> None:
    """Write a prediction in the format of the ending of `path`. Bands come in the order of z, then y."""
    ending = path.suffix.lower()
    if ending == ".npy":
        write_npy(path, bands, layout)
    elif ending == ".zarr":
        write_zarr(path, bands, layout, calibration)
    else:
        write_tiff(path, bands, layout, calibration)


def is_prediction(path: Path) -> bool:
    """Whether `unettrain predict` wrote a file or folder, according to its mark."""
    if path.is_dir():
        return is_own_zarr(path)
    return is_own_npy(path) if path.suffix.lower() == ".npy" else is_own_tiff(path)


PREDICTION = OutputKind(COMMAND, (*TIFFS, ".npy", ".zarr"), is_prediction)
