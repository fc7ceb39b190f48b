"""Writing of the files of a prediction, from the scores of an image."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unetprep.format.ome import PixelSize
from unetprep.lengths import METERS
from unettrain.decoding.classes import ClassCounts, foreground_of, likeliest_classes
from unettrain.decoding.decoder import Decoder
from unettrain.decoding.params import DecodingParams
from unettrain.decoding.table import InstanceTable
from unettrain.errors import Failure
from unettrain.prediction.bands import Probabilities, regrouped
from unettrain.prediction.job import Job
from unettrain.prediction.label_zarr import list_beside_image, write_label_zarr
from unettrain.prediction.layout import Band
from unettrain.prediction.outputs import write_labels, write_prediction
from unettrain.prediction.overlay import Overlay
from unettrain.prediction.png_output import PngWriter
from unettrain.prediction.table_output import write_table

MICROMETER = METERS["micrometer"]
MOST_OF_PNG = 2**16 - 1


def write_probabilities(job: Job, found: Probabilities, path: Path, fingerprint: str, threshold: float) -> None:
    """Write the probabilities of an image to a file, with the threshold of the foreground in its mark."""
    layout = replace(job.layout(is_labels=False, fingerprint=fingerprint), threshold=threshold)
    write_prediction(path, found.bands(), layout, job.calibration)


def write_instances(
    job: Job, found: Probabilities, decoding: DecodingParams, fingerprint: str, num_threads: int, *, overwrite: bool
) -> tuple[int, int]:
    """Separate the instances of an image, and write its labels and what is asked for beside them.

    Returns the number of instances, and that of those that were dropped as too small.

    The labels get their name after everything else. Raises Failure for more instances than a PNG can number.
    """
    main, beside = replace(job.targets.main, overwrite=overwrite), job.targets.beside
    _, slices, height, width = job.pixels.shape
    with ExitStack() as stack:
        place = stack.enter_context(main.writing())
        decoder = stack.enter_context(Decoder((slices, height, width), decoding, num_threads, place.parent))
        for z, y0, rows in found.bands():
            decoder.add(z, y0, foreground_of(rows))
        num = decoder.num_instances
        if num > MOST_OF_PNG and place.suffix.lower() == ".png":
            problem = f"{job.source.path} has {num} instances"
            raise Failure(problem, allowed=f"at most {MOST_OF_PNG} in a PNG", hint="--out NAME.tif")
        if "probabilities" in beside:
            path = stack.enter_context(beside["probabilities"].writing())
            write_probabilities(job, found, path, fingerprint, decoding.threshold)
        extras = _Extras(job, found, num, fingerprint, stack)
        layout = job.layout(is_labels=True, fingerprint=fingerprint, dtype="uint16" if num < 2**16 else "uint32")
        bands = regrouped(extras.watched(decoder), height)
        if job.targets.is_in_image:
            list_beside_image(main.path)
            write_label_zarr(place, bands, layout, _scale(job), is_beside=True)
        else:
            write_labels(place, bands, layout, job.calibration)
        extras.finish()
    return num, decoder.num_dropped


class _Extras:
    """The overlay and the table, which are made while the labels are written."""

    def __init__(self, job: Job, found: Probabilities, num: int, fingerprint: str, stack: ExitStack) -> None:
        self._job, self._found, self._mark = job, found, fingerprint
        channels, _, height, width = job.pixels.shape
        num_classes = job.model.config.num_classes
        beside = job.targets.beside
        self._table = InstanceTable(num, channels) if "table" in beside else None
        self._table_path = stack.enter_context(beside["table"].writing()) if "table" in beside else None
        self._classes = ClassCounts(num, num_classes) if self._table and num_classes > 2 else None
        self._overlay: Overlay | None = None
        if "overlay" in beside:
            path = stack.enter_context(beside["overlay"].writing())
            mark = job.layout(is_labels=True, fingerprint=fingerprint).mark
            self._overlay = Overlay(job.scan.scaling.range)
            self._picture = stack.enter_context(PngWriter(path, (height, width, 3), "uint8", mark))

    def watched(self, decoder: Decoder) -> Iterator[Band]:
        """The bands of labels."""
        for z, y0, labels in decoder.bands():
            if self._table or self._overlay:
                self._look(z, y0, labels)
            yield Band(z, y0, labels[None])

    def _look(self, z: int, y0: int, labels: NDArray[np.int32]) -> None:
        y1 = y0 + len(labels)
        image = self._job.pixels[:, z, y0:y1]
        if self._table:
            self._table.add(z, y0, labels, image)
        if self._classes is not None:
            self._classes.add(labels, likeliest_classes(self._found.rows(z, y0, y1)))
        if self._overlay:
            self._picture.write(self._overlay.band(labels, image))

    def finish(self) -> None:
        """Write the table."""
        if self._table is None or self._table_path is None:
            return
        classes = None if self._classes is None else self._classes.classes()
        write_table(
            self._table_path, self._table.rows(), self._job.pixels.shape[0], classes, _pixel_um2(self._job), self._mark
        )


def _pixel_um2(job: Job) -> float | None:
    calibration = job.calibration
    if calibration is None or calibration.unit not in METERS:
        return None
    return calibration.y * calibration.x * (METERS[calibration.unit] / MICROMETER) ** 2


def _scale(job: Job) -> PixelSize:
    """The scale of the image, so that labels beside it lie over it."""
    sizes = dict(zip("zyx", job.source.pixel_size or (), strict=False))
    return PixelSize({axis: size for axis, size in sizes.items() if size}, job.source.unit)
