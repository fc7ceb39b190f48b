"""Prediction of image files, and of arrays, into prediction files."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unetprep.host_memory import available_memory
from unetprep.sources import Source
from unetprep.sources.arrays import SupportsArray, open_array
from unetprep.sources.calibration import Calibration, read_calibration
from unetprep.sources.memory import PICTURES_KEPT, kept_bytes, reading_bytes
from unetprep.sources.source import Choice
from unetprep.storage.output import check_output
from unettrain.data.intensity import ROWS_AT_ONCE, TrainingImages, scaling_of
from unettrain.data.opening import stored_intensity
from unettrain.data.stacked_images import StackedImage, open_image_file
from unettrain.device import pick_device
from unettrain.errors import Failure, raises_own_errors
from unettrain.prediction.image import Window, legal_tile, predict_windows, step_px
from unettrain.prediction.layout import Band, Layout
from unettrain.prediction.outputs import PREDICTION, write_prediction
from unettrain.prediction.pixel_size import resizing_of
from unettrain.prediction.resampling import Resampled, resampled_bands
from unettrain.run_dir import find_checkpoint


@dataclass(frozen=True)
class Prediction:
    """A written prediction: its path and shape, the intensity (low, high) that became 0 and 1, and warnings.

    `warnings` are sentences that say how the image differs from the training images.
    """

    path: Path
    shape: tuple[int, ...]
    intensity: tuple[float, float]
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The result as plain values, for JSON."""
        named = {"out": str(self.path), "shape": list(self.shape)}
        return named | {"intensity": list(self.intensity), "warnings": list(self.warnings)}


@raises_own_errors
def predict_files(
    checkpoint: str | Path,
    image: str | Path | SupportsArray,
    out: str | Path,
    *,
    axes: str = "",
    level: int = 0,
    series: int | None = None,
    tile_px: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    intensity: str | tuple[float, ...] | None = None,
    pixel_size: str = "check",
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Prediction:
    """Predict an image of any size with a trained network, and write the probabilities to a file.

    `checkpoint` is a run directory, whose best network is used, or a .pt file. `image` is a file, an image of a store
    (STORE/images/NAME) or an array; `axes` are its axes where it does not name them, `level` that of
    a pyramid, `series` the image of a file with several. `out` ends in .tif, .npy or .zarr;
    of two classes only the probability of the second is written. The result does not depend on `tile_px`. `intensity`
    is (low, high), the values that become 0 and 1, or a rule (auto, dtype, minmax, percentile); by default it follows
    from the training images. `pixel_size` says what happens to an image whose pixels are larger or smaller than those
    of the training by more than a factor of 1.5: "check" refuses it, "resample" predicts it at the pixel size of the
    training and resamples the prediction back, "ignore" predicts it as it is. `threads` limits the network on the CPU.
    `on_progress` is called with the number of finished tiles and of all tiles.

    The output is checked before anything is computed, and appears once it is complete. Memory does not grow with the
    height of the image. Raises InvalidInput for a checkpoint, image or output that cannot be used, Conflict if `out`
    exists and may not be replaced, Failure if memory does not suffice.

        unettrain.predict_files("runs/ds", "image.tif", "prediction.tif", intensity=(0, 4095))
    """
    path = os.fspath(image) if isinstance(image, str | os.PathLike) else None
    inputs = [os.fspath(checkpoint)] if path is None else [path, os.fspath(checkpoint)]
    output = check_output(os.fspath(out), PREDICTION, overwrite=overwrite, inputs=inputs)
    trained = find_checkpoint(checkpoint)
    with _threads(threads):
        model = trained.build().to(pick_device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
        choice = Choice(axes, level, series)
        source = open_array("image", image, axes) if path is None else open_image_file(path, choice)  # type: ignore[arg-type]
        pixels = _Pixels(source)
        tile_px = legal_tile(tile_px, model.config.depth)
        layout = _layout(pixels.shape, model.config.num_classes, step_px(tile_px, model.config.depth))
        images = TrainingImages.of(trained.intensity_rule, trained.image_dtype, trained.training_intensity)
        calibration = _calibration(source)
        height, width = pixels.shape[2:]
        resizing = resizing_of(images.pixel_um, calibration, (height, width), pixel_size, source.path)
        _check_memory(source, layout, output.path, tile_px, resizing.size)
        scaling = scaling_of(pixels, images, intensity, stored_intensity(path) if path else None)
        seen = Resampled(pixels, resizing.size) if resizing.size else pixels
        blocks = predict_windows(model, seen, scaling.range, tile_px, on_progress=on_progress)
        bands = resampled_bands(blocks, resizing.size, layout) if resizing.size else _bands(blocks, layout)
        with output.writing() as place:
            write_prediction(place, bands, layout, calibration)
    return Prediction(Path(out), layout.file_shape, scaling.range, (*scaling.warnings, *resizing.warnings))


def _calibration(source: Source) -> Calibration | None:
    return read_calibration(source.stack if isinstance(source, StackedImage) else source)


@contextmanager
def _threads(num: int | None) -> Iterator[None]:
    """Limit the threads of torch inside of the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(num or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Pixels:
    """A source as an array (c, z, y, x), of which only the part that is indexed is read."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.shape: tuple[int, ...] = source.shape
        self.dtype = np.dtype(source.dtype)

    def __getitem__(self, key: int | slice | tuple[int | slice, ...]) -> NDArray[np.generic]:
        keys = key if isinstance(key, tuple) else (key,)
        keys += (slice(None),) * (4 - len(keys))
        box = tuple(
            slice(k, k + 1) if isinstance(k, int) else slice(*k.indices(n))
            for k, n in zip(keys, self.shape, strict=True)
        )
        block = self.source.read(box)
        return block[tuple(0 if isinstance(k, int) else slice(None) for k in keys)]


def _layout(image: tuple[int, ...], num_classes: int, rows: int) -> Layout:
    """The layout of a prediction: with two classes only the second is written, with one slice there is no axis z."""
    _, slices, height, width = image
    shape = (num_classes if num_classes != 2 else 1, slices, height, width)
    return Layout(shape, rows, keeps_classes=num_classes != 2, keeps_slices=slices > 1)


def _bands(blocks: Iterator[tuple[Window, NDArray[np.float32]]], layout: Layout) -> Iterator[Band]:
    for (z, y0), row in groupby(blocks, key=lambda found: (found[0].z, found[0].y0)):
        chosen = [block if layout.keeps_classes else block[1:2] for _, block in row]
        yield Band(z, y0, np.concatenate(chosen, axis=2))


def _check_memory(
    source: Source, layout: Layout, out: Path, tile_px: int, resampled: tuple[int, int] | None = None
) -> None:
    """Raise Failure if the parts of image and prediction that are held at once do not fit into memory.

    Of a `resampled` image the prediction of a slice is held.
    """
    channels, _, height, width = source.shape
    boxes = ((channels, 1, min(tile_px, height), min(tile_px, width)), (1, 1, min(ROWS_AT_ONCE, height), width))
    pixel_bytes = 2 * np.dtype(source.dtype).itemsize + 4
    reading = max(reading_bytes(source, box) + pixel_bytes * math.prod(box) for box in boxes)
    reading += kept_bytes(source) // PICTURES_KEPT
    held = layout.memory_bytes(out) + 4 * layout.shape[0] * math.prod(resampled or (0,))
    needed, available = reading + held, available_memory()
    if available is not None and needed > available:
        raise Failure(
            f"predicting {source.path} takes {_gib(needed)} of memory besides the network: {_gib(reading)} to decode"
            f" parts of the image, {_gib(held)} for rows of the prediction"
            + ", which is resampled slice by slice"
            * bool(resampled),
            allowed=f"{_gib(available)}, which is available",
            hint="store the image as a tiled TIFF or in a Zarr store, or take a smaller --tile and --out NAME.zarr",
        )


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.2f} GiB"
