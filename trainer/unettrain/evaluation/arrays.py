"""Evaluation of a prediction array against a label array."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.sources import Source
from unetprep.sources.arrays import SupportsArray, open_array
from unetprep.sources.labels import one_channel
from unettrain.errors import InvalidInput, raises_own_errors
from unettrain.evaluation.classes import score_classes
from unettrain.evaluation.labels import check_label_dtype, read_labels
from unettrain.evaluation.params import EvaluateParams
from unettrain.evaluation.predictions import read_prediction
from unettrain.evaluation.result import Evaluation
from unettrain.evaluation.segmentation import Segmentation
from unettrain.metrics.scores import score_instances


@raises_own_errors
def evaluate_arrays(
    prediction: SupportsArray, labels: SupportsArray, params: EvaluateParams | None = None
) -> Evaluation:
    """Evaluate a prediction (y, x), (z, y, x) or (class, z, y, x) against labels (y, x) or (z, y, x).

    Values are interpreted as those of files; see `EvaluateParams`. A stack needs `dims`. Raises InvalidInput if the
    sizes differ, or if values cannot be interpreted.

        scores = unettrain.evaluate_arrays(probability, labels).scores
        print(scores.pixels.iou, scores.ap[0.5])
    """
    proposed, truth = open_array("prediction", prediction), open_array("labels", labels)
    return evaluate_sources(proposed, one_channel(truth), params or EvaluateParams())


def evaluate_sources(
    proposed: Source,
    truth: Source,
    params: EvaluateParams,
    stored_dims: int | None = None,
    classes: tuple[Source, int] | None = None,
    recorded: float | None = None,
) -> Evaluation:
    """Evaluate a prediction against labels. `stored_dims` is what the store of the labels records, if they are in one.

    `classes` are the classes of the labels and their number, where labels number the cells; `recorded` is the threshold
    that the prediction records.

    Raises InvalidInput as `evaluate_arrays` does.
    """
    proposed, dims, reason = checked_sources(proposed, truth, stored_dims, params.dims)
    num_classes = classes[1] if classes else params.num_classes
    found, cells = read_sources(proposed, truth, params, dims, classes, recorded)
    scores = score_instances(found.objects, cells.objects, dims)
    counts = scores.cells[0]
    return Evaluation(
        scores,
        found.kind,
        found.describe(counts.tp + counts.fp + counts.ignored, "object"),
        cells.describe(counts.tp + counts.fn, "cell"),
        found.threshold,
        dims,
        reason,
        score_classes(found, cells, num_classes, dims) if num_classes else None,
    )


def checked_sources(
    proposed: Source, truth: Source, stored_dims: int | None, asked: int | None
) -> tuple[Source, int, str]:
    """The prediction with axes that fit the labels, `dims`, and why. Raises InvalidInput for sizes that differ."""
    if proposed.axes == "cyx" and truth.shape[1] > 1 and np.dtype(proposed.dtype).kind in "bui":
        proposed = replace(proposed, axes="zyx")  # as for labels: ImageJ calls the slices of a stack channels
    check_label_dtype(truth.path, truth.shape[0], np.dtype(truth.dtype))
    _check_sizes(proposed, truth)
    return proposed, *_find_dims(truth, stored_dims, asked)


def read_sources(
    proposed: Source,
    truth: Source,
    params: EvaluateParams,
    dims: int,
    classes: tuple[Source, int] | None,
    recorded: float | None,
) -> tuple[Segmentation, Segmentation]:
    """Read prediction and labels into memory, and interpret them."""
    num_classes = classes[1] if classes else params.num_classes
    by_value = None if classes else num_classes
    cells = read_labels(_pixels(truth), truth.path, dims, params.instances, params.ignore_label, by_value)
    if classes:
        cells = replace(cells, classes=_pixels(classes[0])[0])
    how = params.prediction, params.threshold, num_classes, recorded
    return read_prediction(_pixels(proposed), proposed.path, dims, *how), cells


def _check_sizes(proposed: Source, truth: Source) -> None:
    for source in (proposed, truth):
        if 0 in source.shape:
            raise InvalidInput(
                f"{source.path} has shape {source.file_shape}", allowed="at least one pixel along each axis"
            )
    if proposed.shape[1:] != truth.shape[1:]:
        sizes = f"{proposed.shape[1:]} and {truth.shape[1:]} pixels (z, y, x)"
        raise InvalidInput(
            f"{proposed.path} and {truth.path} differ in size: {sizes}",
            hint=_classes_hint(proposed),
        )


def _classes_hint(proposed: Source) -> str:
    is_named = not proposed.path.endswith(".npy") and not proposed.path.startswith("array ")
    if is_named or proposed.axes != "zyx" or np.dtype(proposed.dtype).kind != "f":
        return ""
    return "class probabilities in .npy need four axes (class, z, y, x)"


def _find_dims(truth: Source, stored: int | None, asked: int | None) -> tuple[int, str]:
    """dims, and why."""
    if asked is not None:
        return asked, "--dims" if stored in (None, asked) else f"--dims; the store says {stored}"
    if stored is not None:
        return stored, "as the store says"
    if truth.shape[1] == 1:
        return 2, "a single slice"
    raise InvalidInput(
        f"{truth.path} has {truth.shape[1]} slices, which may be independent images or one volume",
        hint="--dims 2 if each slice has cells of its own, --dims 3 if cells extend over slices",
    )


def _pixels(source: Source) -> NDArray[Any]:
    return source.read(tuple(slice(0, n) for n in source.shape))
