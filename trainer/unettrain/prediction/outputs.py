"""Prediction files: writing in each format, and recognition of those that `unettrain predict` wrote."""

from pathlib import Path

from unetprep.format.ome import PixelSize
from unetprep.sources.calibration import Calibration
from unetprep.storage.output import OutputKind
from unettrain.prediction.label_tiff import write_label_tiff
from unettrain.prediction.label_zarr import label_zarr_mark, write_label_zarr
from unettrain.prediction.layout import COMMAND, TIFFS, Layout, fingerprint_in
from unettrain.prediction.npy_output import npy_mark, write_npy
from unettrain.prediction.png_output import PngWriter, png_mark
from unettrain.prediction.tiff_output import tiff_mark, write_tiff
from unettrain.prediction.windows import Read, bands_of
from unettrain.prediction.zarr_output import write_zarr, zarr_mark


def write_prediction(path: Path, read: Read, layout: Layout, calibration: Calibration | None) -> None:
    """Write probabilities in the format of the ending of `path`."""
    ending = path.suffix.lower()
    if ending == ".npy":
        write_npy(path, read, layout)
    elif ending == ".zarr":
        write_zarr(path, read, layout, calibration)
    else:
        write_tiff(path, read, layout, calibration)


def write_labels(path: Path, read: Read, layout: Layout, calibration: Calibration | None) -> None:
    """Write instance labels in the format of the ending of `path`."""
    ending = path.suffix.lower()
    if ending == ".npy":
        write_npy(path, read, layout)
    elif ending == ".zarr":
        write_label_zarr(path, read, layout, pixel_size_of(calibration))
    elif ending == ".png":
        with PngWriter(path, layout.file_shape, layout.dtype, layout.mark) as png:
            for window in bands_of(layout.shape):
                png.write(read(window)[0])
    else:
        write_label_tiff(path, read, layout, calibration)


def pixel_size_of(calibration: Calibration | None) -> PixelSize:
    """The pixel size as OME-Zarr states it."""
    if calibration is None:
        return PixelSize()
    sizes = {"z": calibration.z, "y": calibration.y, "x": calibration.x}
    return PixelSize({axis: size for axis, size in sizes.items() if size}, calibration.unit)


def mark_in(path: Path) -> str:
    """The mark of a prediction; "" for files and folders of others."""
    if path.is_dir():
        return zarr_mark(path) or label_zarr_mark(path)
    readers = {".npy": npy_mark, ".png": png_mark}
    return readers.get(path.suffix.lower(), tiff_mark)(path)


def fingerprint_of(path: Path) -> str | None:
    """The fingerprint of a prediction; None for anything else."""
    return fingerprint_in(mark_in(path))


def is_prediction(path: Path) -> bool:
    """Whether `unettrain predict` wrote a file or folder, according to its mark."""
    return fingerprint_of(path) is not None


PREDICTION = OutputKind(COMMAND, (*TIFFS, ".npy", ".zarr"), is_prediction)
LABELS = OutputKind(COMMAND, (*TIFFS, ".png", ".npy", ".zarr"), is_prediction)
LABELS_BESIDE = OutputKind(COMMAND, ("",), is_prediction)
PICTURE = OutputKind(COMMAND, (".png",), is_prediction)
