"""Writing of the files of a prediction, from the scores of an image."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from unetprep.format.ome import PixelSize
from unetprep.lengths import METERS
from unettrain.decoding.classes import ClassCounts, foreground_of, likeliest_classes
from unettrain.decoding.decoder import Decoder
from unettrain.decoding.params import DecodingParams
from unettrain.decoding.table import InstanceTable
from unettrain.errors import Failure
from unettrain.prediction.job import Job
from unettrain.prediction.label_zarr import list_beside_image, write_label_zarr
from unettrain.prediction.outputs import write_labels, write_prediction
from unettrain.prediction.overlay import Overlay
from unettrain.prediction.png_output import PngWriter
from unettrain.prediction.probabilities import Probabilities
from unettrain.prediction.table_output import write_table
from unettrain.prediction.windows import bands_of, windows_of

MICROMETER = METERS["micrometer"]
MOST_OF_PNG = 2**16 - 1


def write_probabilities(job: Job, found: Probabilities, path: Path, fingerprint: str, threshold: float) -> None:
    """Write the probabilities of an image to a file, with the threshold of the foreground in its mark."""
    layout = replace(job.layout(is_labels=False, fingerprint=fingerprint), threshold=threshold)
    write_prediction(path, found.read, layout, job.calibration)


def write_instances(
    job: Job, found: Probabilities, decoding: DecodingParams, fingerprint: str, num_threads: int, *, overwrite: bool
) -> tuple[int, int]:
    """Separate the instances of an image, and write its labels and what is asked for beside them.

    Returns the number of instances, and that of those that were dropped as too small.

    The labels get their name after everything else. Raises Failure for more instances than a PNG can number.
    """
    main, beside = replace(job.targets.main, overwrite=overwrite), job.targets.beside
    with ExitStack() as stack:
        place = stack.enter_context(main.writing())
        decoder = stack.enter_context(Decoder(found.shape, decoding, num_threads, place.parent))
        for w in bands_of(decoder.shape):
            decoder.add(w.z, w.y0, foreground_of(found.read(w)))
        num = decoder.num_instances
        if num > MOST_OF_PNG and place.suffix.lower() == ".png":
            problem = f"{job.source.path} has {num} instances"
            raise Failure(problem, allowed=f"at most {MOST_OF_PNG} in a PNG", hint="--out NAME.tif")
        if "probabilities" in beside:
            path = stack.enter_context(beside["probabilities"].writing())
            write_probabilities(job, found, path, fingerprint, decoding.threshold)
        if "table" in beside:
            _write_table(job, found, decoder, stack.enter_context(beside["table"].writing()), fingerprint)
        if "overlay" in beside:
            _write_overlay(job, decoder, stack.enter_context(beside["overlay"].writing()), fingerprint)
        layout = job.layout(is_labels=True, fingerprint=fingerprint, dtype="uint16" if num < 2**16 else "uint32")
        layout = replace(layout, num_instances=num)
        labels = lambda w: decoder.read(w.z, w.rows, w.columns)[None]  # noqa: E731
        if job.targets.is_in_image:
            list_beside_image(main.path)
            write_label_zarr(place, labels, layout, _scale(job), is_beside=True)
        else:
            write_labels(place, labels, layout, job.calibration)
    return num, decoder.num_dropped


def _write_table(job: Job, found: Probabilities, decoder: Decoder, path: Path, fingerprint: str) -> None:
    """Write the table of the instances."""
    num, num_channels, num_classes = decoder.num_instances, job.pixels.shape[0], job.model.config.num_classes
    table = InstanceTable(num, num_channels)
    counts = ClassCounts(num, num_classes) if num_classes > 2 else None
    for w in windows_of(decoder.shape):
        labels = decoder.read(w.z, w.rows, w.columns)
        table.add(w.z, w.y0, labels, job.pixels[:, w.z, w.rows, w.columns], x0=w.x0)
        if counts is not None:
            counts.add(labels, likeliest_classes(found.read(w)))
    classes = None if counts is None else counts.classes()
    write_table(path, table.rows(), num_channels, classes, _pixel_um2(job), fingerprint)


def _write_overlay(job: Job, decoder: Decoder, path: Path, fingerprint: str) -> None:
    """Write the picture of the instances over the image."""
    overlay, mark = Overlay(job.scan.scaling.range), job.layout(is_labels=True, fingerprint=fingerprint).mark
    with PngWriter(path, (*decoder.shape[1:], 3), "uint8", mark) as picture:
        for w in bands_of(decoder.shape):
            picture.write(overlay.band(decoder.read(w.z, w.rows, w.columns), job.pixels[:, w.z, w.rows]))


def _pixel_um2(job: Job) -> float | None:
    calibration = job.calibration
    if calibration is None or calibration.unit not in METERS:
        return None
    return calibration.y * calibration.x * (METERS[calibration.unit] / MICROMETER) ** 2


def _scale(job: Job) -> PixelSize:
    """The scale of the image, so that labels beside it lie over it."""
    sizes = dict(zip("zyx", job.source.pixel_size or (), strict=False))
    return PixelSize({axis: size for axis, size in sizes.items() if size}, job.source.unit)
