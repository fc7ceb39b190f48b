"""Prediction of image files, and of arrays, into files of instance labels or probabilities."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import torch

import unetprep.errors
from unetprep.errors import MOST_REPORTED
from unetprep.sources.arrays import SupportsArray, open_array
from unetprep.sources.source import Choice
from unetprep.storage.output import check_folder
from unettrain.checkpoint import Checkpoint
from unettrain.data.intensity import TrainingImages
from unettrain.data.stacked_images import open_image_file
from unettrain.decoding.params import DecodingParams
from unettrain.device import pick_device
from unettrain.errors import Conflict, Failure, InvalidInput, UnettrainError, raises_own_errors
from unettrain.prediction.averaging import largest_difference, summed_scores
from unettrain.prediction.fingerprints import digest_of_checkpoint, fingerprint
from unettrain.prediction.inputs import Image, find_images
from unettrain.prediction.job import Job
from unettrain.prediction.label_zarr import check_image_of_labels, list_beside_image
from unettrain.prediction.outputs import fingerprint_of
from unettrain.prediction.params import PredictParams
from unettrain.prediction.probabilities import Probabilities
from unettrain.prediction.targets import check_name, check_targets, refuse_collisions
from unettrain.prediction.work_folder import WorkFolder
from unettrain.prediction.writing import write_instances, write_probabilities
from unettrain.run_checkpoints import find_checkpoint

LARGEST_SEAM = 1e-5
IN_MEMORY_BYTES = 2**24  # scores of smaller images are kept in memory, and computed again after a kill
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Prediction:
    """A written prediction: its path and shape, the intensity (low, high) that became 0 and 1, and warnings.

    `warnings` are sentences that say how the image differs from the training images. `num_instances` is None for
    probabilities; `num_dropped` counts those of fewer than `min_area_px` pixels. `largest_seam` is that of
    `check_seams`. `is_new` is False if the output was there already.
    """

    path: Path
    shape: tuple[int, ...]
    intensity: tuple[float, float]
    warnings: tuple[str, ...] = ()
    num_instances: int | None = None
    largest_seam: float | None = None
    is_new: bool = True
    num_dropped: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The result as plain values, for JSON."""
        more: dict[str, Any] = {"num_instances": self.num_instances, "num_dropped": self.num_dropped}
        more["largest_seam"] = self.largest_seam
        return {
            "out": str(self.path),
            "shape": list(self.shape),
            "intensity": list(self.intensity),
            "warnings": list(self.warnings),
            **{name: value for name, value in more.items() if value is not None},
            **({} if self.is_new else {"is_new": False}),
        }


def dropped_warnings(num: int, num_dropped: int, min_area_px: int) -> tuple[str, ...]:
    """A sentence if more instances were dropped as too small than were kept: their size may be that of the cells."""
    if num_dropped <= num:
        return ()
    return (
        f"{num_dropped} instances of fewer than {min_area_px} pixels were dropped, and {num} kept; if the cells are so"
        " small, give a smaller min-area",
    )


@raises_own_errors
def predict_files(
    checkpoint: str | Path,
    image: str | Path | SupportsArray,
    out: str | Path,
    *,
    decoding: DecodingParams | Mapping[str, Any] | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = lambda done, total: None,
    **options: Any,
) -> Prediction:
    """Predict an image of any size with a trained network, and write its instances or probabilities to a file.

    `checkpoint` is a run directory, whose best network is used, or a .pt file. `image` is a file, a URL, an image of a
    store (STORE/images/NAME) or an array. `out` ends in .tif, .npy, .zarr or, for labels, .png; or is
    IMAGE.zarr/labels/NAME. `options` are the fields of `unettrain.PredictParams`.

    `decoding` says how probabilities become instances: a DecodingParams, or values that replace some of those that
    the run has chosen. With `instances="none"` probabilities are written; of two classes only that of the second.

    The output is checked before anything is computed, and appears once it is complete. Memory does not grow with the
    image, but for a few numbers for each instance. A prediction of many pixels that was killed continues when it is
    repeated; one that is complete is not made again. `overwrite` replaces predictions of another network or image, or
    by other options. The result does not depend on `tile_px` and `batch`, except for rounding.
    `on_progress` is called with the number of finished strips and of all strips.

    Raises InvalidInput for a checkpoint, image or output that cannot be used, Conflict if `out` exists and may not be
    replaced, Failure if memory does not suffice, and for a seam that `check_seams` finds.

        unettrain.predict_files("runs/ds", "image.tif", "cells.tif", also="table,overlay")
        unettrain.predict_files("runs/ds", "image.tif", "p.tif", decoding={"instances": "none"}, intensity=(0, 4095))
    """
    params = PredictParams(**options)
    check_name(os.fspath(out))
    with _Predictor(checkpoint, params, decoding) as predictor:
        given = Image(os.fspath(image), "") if isinstance(image, str | os.PathLike) else image
        job = predictor.job(given, os.fspath(out), overwrite=overwrite)
        return predictor.run([job], on_progress)[0]


@raises_own_errors
def predict_many(
    checkpoint: str | Path,
    images: Sequence[str | Path],
    out: str | Path,
    *,
    decoding: DecodingParams | Mapping[str, Any] | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = lambda done, total: None,
    **options: Any,
) -> list[Prediction]:
    """Predict several images into a folder, or a single one into a file.

    `images` are files, folders, patterns with wildcards, stores, images of stores and URLs. If it is a single file or
    image of a store, `out` is a file as of `predict_files`, else a folder, in which each image has an output of its
    name. All images and outputs are checked before anything is computed, and all that cannot be used are named at once.
    A repeated call skips the images whose output is complete. Other arguments and errors are those of `predict_files`.

        unettrain.predict_many("runs/ds", ["raw"], "predicted")
    """
    params = PredictParams(**options)
    found = find_images([os.fspath(path) for path in images], params.split, os.fspath(out))
    if found.is_one:
        check_name(os.fspath(out))
    with _Predictor(checkpoint, params, decoding) as predictor:
        places = _places(found.found, os.fspath(out), params.format, found.is_one)
        jobs = predictor.jobs(list(zip(found.found, places, strict=True)), overwrite=overwrite)
        return predictor.run(jobs, on_progress)


def _places(images: Sequence[Image], out: str, ending: str, is_one: bool) -> list[str]:
    """The output of each image."""
    if is_one:
        return [out]
    folder = check_folder(out, "--out")
    return [str(folder / f"{image.name}.{ending}") for image in images]


class _Predictor:
    """A network with the parameters of its use; limits the threads of torch inside of a `with` block."""

    def __init__(
        self, checkpoint: str | Path, params: PredictParams, decoding: DecodingParams | Mapping[str, Any] | None
    ) -> None:
        self._path, self._params = str(checkpoint), params
        trained = find_checkpoint(checkpoint)
        self._images = TrainingImages.of(trained.intensity_rule, trained.image_dtype, trained.training_intensity)
        self._decoding = decoding_of(trained, decoding)
        self._digest = digest_of_checkpoint(trained)
        model = trained.build()
        self._model = model.to(pick_device(params.device), memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._stack = ExitStack()

    def __enter__(self) -> "_Predictor":
        self._stack.enter_context(_threads(self._params.threads))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def jobs(self, images: Sequence[tuple[Image, str]], *, overwrite: bool) -> list[Job]:
        """The jobs of several images. Raises one error that names all those that cannot be predicted."""
        jobs: list[Job] = []
        errors: list[UnettrainError | unetprep.errors.UnetprepError] = []
        for image, out in images:
            try:
                jobs.append(self.job(image, out, overwrite=overwrite))
            except (UnettrainError, unetprep.errors.UnetprepError) as error:
                errors.append(error)
        _refuse(errors)
        refuse_collisions([job.targets for job in jobs], [image.path for image, _ in images])
        return jobs

    def job(self, image: Image | SupportsArray, out: str, *, overwrite: bool) -> Job:
        """An image and its outputs, checked."""
        params, path = self._params, image.path if isinstance(image, Image) else None
        inputs = [self._path] if path is None else [path, self._path]
        has_labels = self._decoding.instances != "none"
        targets = check_targets(out, inputs, also=params.files_beside, has_labels=has_labels, overwrite=overwrite)
        if targets.is_in_image:
            check_image_of_labels(targets.main.path, path)
        choice = Choice(params.axes, params.level, params.series)
        source = open_image_file(path, choice) if path is not None else open_array("image", image, choice)  # type: ignore[arg-type]
        job = Job(path, source, targets, self._model, self._images, params)
        job.check()
        if targets.main.path.exists() and not overwrite and not self._is_same(job):
            raise Conflict(
                f"{targets.main.path} already exists, and was predicted by another network, of another image or with"
                " other options",
                hint="--overwrite replaces it, or name another --out",
            )
        return job

    def run(self, jobs: Sequence[Job], on_progress: OnProgress) -> list[Prediction]:
        """Predict all images in turn, but those whose output is complete."""
        total, done = sum(job.num_units for job in jobs), 0

        def on_unit(num: int) -> None:
            nonlocal done
            done += num
            if num:
                on_progress(done, total)

        found = []
        for job in jobs:
            is_done = job.targets.main.path.exists() and job.targets.are_of(self._fingerprint(job))
            found.append(self._existing(job) if is_done else self._predict(job, on_unit))
            if is_done:
                on_unit(job.num_units)
        return found

    def _is_same(self, job: Job) -> bool:
        """Whether the output of an image is there and was made from the same network, image and options."""
        path = job.targets.main.path
        return path.exists() and fingerprint_of(path) == self._fingerprint(job)

    def _existing(self, job: Job) -> Prediction:
        if job.targets.is_in_image:
            list_beside_image(job.targets.main.path)
        return self._result(job, is_new=False)

    def _predict(self, job: Job, on_unit: Callable[[int], None]) -> Prediction:
        task, name = job.task(), self._fingerprint(job)
        sides = job.pixels.shape[2], job.pixels.shape[3]
        with ExitStack() as stack:
            work, num_bytes = None, 4 * prod(task.shape)
            if num_bytes > IN_MEMORY_BYTES:
                work = stack.enter_context(WorkFolder(job.targets.main.path, self._fingerprint_of_scores(job)))
                work.check_space(num_bytes * (3 if task.num_turns > 1 else 1))
            planes = summed_scores(task, work, on_unit)
            stack.callback(planes.close)
            seam = self._seam(job, planes) if self._params.check_seams else None
            probabilities = Probabilities(planes, task.num_turns, sides)
            if self._decoding.instances == "none":
                with job.targets.main.writing() as path:
                    write_probabilities(job, probabilities, path, name, self._decoding.threshold)
                return self._result(job, seam=seam)
            overwrite = job.targets.main.overwrite or self._is_same(job)
            threads = self._params.threads or os.cpu_count() or 1
            num, dropped = write_instances(job, probabilities, self._decoding, name, threads, overwrite=overwrite)
        said = dropped_warnings(num, dropped, self._decoding.min_area_px)
        found = self._result(job, num, seam)
        return replace(found, num_dropped=dropped, warnings=(*found.warnings, *said))

    def _seam(self, job: Job, planes: Any) -> float:
        whole = summed_scores(job.task(is_whole=True))
        found = largest_difference(planes, whole, self._params.tta)
        if not found <= LARGEST_SEAM:
            raise Failure(
                f"the probabilities of {job.source.path} differ by {found:.2g} from those of whole slices",
                allowed=f"at most {LARGEST_SEAM:g} with check-seams",
            )
        return found

    def _result(
        self, job: Job, num: int | None = None, seam: float | None = None, *, is_new: bool = True
    ) -> Prediction:
        layout = job.layout(is_labels=job.targets.has_labels)
        scaling = job.scan.scaling
        warnings = (*scaling.warnings, *job.resizing.warnings)
        return Prediction(job.targets.main.path, layout.file_shape, scaling.range, warnings, num, seam, is_new)

    def _fingerprint(self, job: Job) -> str:
        """The fingerprint of an output: of everything that its content depends on."""
        size = {"calibration": repr(job.calibration), "scale": repr((job.source.pixel_size, job.source.unit))}
        return fingerprint({**self._of_scores(job), **size, "decoding": asdict(self._decoding)})

    def _fingerprint_of_scores(self, job: Job) -> str:
        """The fingerprint of scores, which continue bit for bit only on the same device, in the same strips."""
        device = next(self._model.parameters()).device.type
        plans = [repr(plan) for plan in job.task().plans()]
        where = {"torch": torch.__version__, "device": device, "threads": torch.get_num_threads(), "plans": plans}
        return fingerprint(self._of_scores(job) | where)

    def _of_scores(self, job: Job) -> dict[str, Any]:
        return {
            "network": self._digest,
            "image": job.scan.digest,
            "intensity": job.scan.scaling.range,
            "size": job.resizing.size,
            "tta": self._params.tta,
            "amp": self._params.amp,
        }


def decoding_of(trained: Checkpoint, asked: DecodingParams | Mapping[str, Any] | None) -> DecodingParams:
    """How instances are separated: as asked for; where nothing is asked, as the run has chosen, or the default."""
    if isinstance(asked, DecodingParams):
        return asked
    values = {**trained.decoding, **(asked or {})}
    try:
        return DecodingParams(**values)
    except TypeError:
        raise InvalidInput(
            f"decoding is {values!r}", allowed=f"values of {', '.join(DecodingParams.__dataclass_fields__)}"
        ) from None


def _refuse(errors: Sequence[UnettrainError | unetprep.errors.UnetprepError]) -> None:
    """Raise one error for several: a Conflict if all are, InvalidInput otherwise."""
    if not errors:
        return
    if len(errors) == 1:
        raise errors[0]
    is_conflict = all(isinstance(error, Conflict | unetprep.errors.Conflict) for error in errors)
    shown = "\n".join(map(str, errors[:MOST_REPORTED]))
    more = f"\nand {len(errors) - MOST_REPORTED} more" if len(errors) > MOST_REPORTED else ""
    raise (Conflict if is_conflict else InvalidInput)(f"{len(errors)} images cannot be predicted:\n{shown}{more}")


@contextmanager
def _threads(num: int | None) -> Iterator[None]:
    """Limit the threads of torch inside of the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(num or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
