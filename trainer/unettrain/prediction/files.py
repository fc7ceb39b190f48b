"""Prediction of an image file, band by band, into a prediction file."""

import math
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from unetprep.host_memory import available_memory
from unetprep.sources import Source, open_source
from unetprep.sources.calibration import read_calibration
from unetprep.sources.memory import PICTURES_KEPT, kept_bytes, reading_bytes
from unetprep.storage.output import check_output
from unettrain.checkpoint import Checkpoint, load_checkpoint
from unettrain.data.intensity import ROWS_AT_ONCE, Scaling, TrainingImages, scaling_of
from unettrain.data.opening import stored_intensity
from unettrain.device import pick_device
from unettrain.errors import Failure
from unettrain.prediction.image import Window, legal_tile, predict_windows, step_px
from unettrain.prediction.outputs import PREDICTION, Band, Layout, write_prediction
from unettrain.run_dir import load_best


class Pixels:
    """A source seen as an array (c, z, y, x) that is read where it is cut."""

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


def predict_file(
    checkpoint: str,
    image: str,
    out: str,
    *,
    axes: str,
    tile: int | None,
    device: str,
    threads: int | None,
    overwrite: bool,
    intensity: str,
    on_progress: Callable[[int, int], None],
    on_scaling: Callable[[Scaling], None],
) -> tuple[int, ...]:
    """Predict one image and write the probabilities; returns their shape. See `write_prediction` for the file.

    The output is checked before anything is computed, and appears once it is complete. Memory does not grow with the
    number of rows of the image. Raises Failure if it is not enough for one band.
    """
    output = check_output(out, PREDICTION, overwrite=overwrite, inputs=(image, checkpoint))
    trained = find_checkpoint(checkpoint)
    if threads:
        torch.set_num_threads(threads)
    model = trained.build().to(pick_device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
    source = open_source(image, axes)
    pixels = Pixels(source)
    tile = legal_tile(tile, model.config.depth)
    layout = _layout(pixels.shape, model.config.num_classes, step_px(tile, model.config.depth))
    _check_memory(source, layout, output.path, tile)
    images = TrainingImages.of(trained.intensity_rule, trained.image_dtype, trained.training_intensity)
    scaling = scaling_of(pixels, images, intensity, stored_intensity(image))
    on_scaling(scaling)
    blocks = predict_windows(model, pixels, scaling.range, tile, on_progress=on_progress)
    with output.writing() as path:
        write_prediction(path, _bands(blocks, layout), layout, read_calibration(source))
    return layout.file_shape


def _layout(image: tuple[int, ...], num_classes: int, rows: int) -> Layout:
    """Of two classes the probability of the second is written; of an image of one slice no axis z."""
    _, slices, height, width = image
    shape = (num_classes if num_classes != 2 else 1, slices, height, width)
    return Layout(shape, rows, keeps_classes=num_classes != 2, keeps_slices=slices > 1)


def _bands(blocks: Iterator[tuple[Window, NDArray[np.float32]]], layout: Layout) -> Iterator[Band]:
    for (z, y0), row in groupby(blocks, key=lambda found: (found[0].z, found[0].y0)):
        chosen = [block if layout.keeps_classes else block[1:2] for _, block in row]
        yield Band(z, y0, np.concatenate(chosen, axis=2))


def _check_memory(source: Source, layout: Layout, out: Path, tile: int) -> None:
    """Raise Failure if what has to be held of the image and of the prediction does not fit into memory."""
    channels, _, height, width = source.shape
    boxes = ((channels, 1, min(tile, height), min(tile, width)), (1, 1, min(ROWS_AT_ONCE, height), width))
    pixel_bytes = 2 * np.dtype(source.dtype).itemsize + 4
    reading = max(reading_bytes(source, box) + pixel_bytes * math.prod(box) for box in boxes)
    reading += kept_bytes(source) // PICTURES_KEPT
    needed, available = reading + layout.memory_bytes(out), available_memory()
    if available is not None and needed > available:
        raise Failure(
            f"predicting {source.path} takes {_gib(needed)} of memory besides the network: {_gib(reading)} to decode"
            f" parts of the image, {_gib(layout.memory_bytes(out))} for rows of the prediction",
            allowed=f"{_gib(available)}, which is available",
            hint="store the image as a tiled TIFF or in a Zarr store, or take a smaller --tile and --out NAME.zarr",
        )


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.2f} GiB"


def find_checkpoint(path: str) -> Checkpoint:
    """The checkpoint at a path; of a run, its best network, or the last one where none was validated yet."""
    return load_best(path) if Path(path).is_dir() else load_checkpoint(path)
