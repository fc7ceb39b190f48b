"""Metrics of one image: which pixels they read, and how prediction and labels are interpreted for them.

Instance labels are compared in blocks. Connected components, of masks and probabilities, and metrics of probabilities
need the whole image.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unettrain.errors import InvalidInput
from unettrain.evaluation.arrays import checked_sources, read_sources
from unettrain.evaluation.blocks import count_pairs, lazy_labels, lazy_prediction
from unettrain.evaluation.counting import Counted, Counts, count
from unettrain.evaluation.files import OpenedPair
from unettrain.evaluation.metric_table import PROBABILITY, Metric, named_metrics
from unettrain.evaluation.predictions import FULL_SCALE
from unettrain.evaluation.segmentation import Segmentation
from unettrain.metrics.contingency import IGNORED, ContingencyTable, LabelArray, contingency_table
from unettrain.metrics.scores import THRESHOLD


@dataclass(frozen=True)
class ImageCounts:
    """The counts of each metric of one image, and how prediction and labels were interpreted."""

    name: str
    counts: dict[str, Counts]  # by the name of the metric
    prediction_kind: str
    prediction_read_as: str
    labels_read_as: str
    dims: int
    dims_reason: str


def count_metrics(name: str, pair: OpenedPair) -> ImageCounts:
    """The counts of the metrics that `pair.params` names. Raises InvalidInput as `evaluate_files` does."""
    params, metrics = pair.params, named_metrics(pair.params.metrics)
    proposed, dims, reason = checked_sources(pair.proposed, pair.truth, pair.stored_dims, params.dims)
    if pair.classes is None and not any(metric.needs == PROBABILITY for metric in metrics):
        labels = lazy_labels(pair.truth, dims, params)
        objects = lazy_prediction(proposed, dims, params) if labels else None
        if labels and objects:
            counted = Counted(count_pairs(labels, objects, dims))
            found, cells = (Segmentation(np.empty(0, np.int32), "instances", "instance labels") for _ in range(2))
            return _counts(name, metrics, counted, found, cells, (dims, reason), params.ignore_background)
    found, cells = read_sources(proposed, pair.truth, params, dims, pair.classes, pair.recorded)
    counted = Counted(count_pairs(cells.objects, found.objects, dims), _classes(found, cells))
    if any(metric.needs == PROBABILITY for metric in metrics):
        probability = _probability(found, _pixels(proposed), proposed.path, metrics)
        counted = replace(counted, labels=cells.objects, probability=probability)
    fixed = pair.recorded if found.threshold is None else found.threshold
    fixed = None if found.kind == "mask" else fixed  # one of the file's own values
    return _counts(name, metrics, counted, found, cells, (dims, reason), params.ignore_background, fixed)


def _counts(
    name: str,
    metrics: Sequence[Metric],
    counted: Counted,
    found: Segmentation,
    cells: Segmentation,
    dims: tuple[int, str],
    ignore_background: bool,
    threshold: float | None = None,
) -> ImageCounts:
    fixed = THRESHOLD if threshold is None else threshold
    counts = {metric.name: count(metric, counted, fixed, ignore_background) for metric in metrics}
    num_ignored = sum(int(table.counts[table.labels == IGNORED].sum()) for table in counted.tables)
    if num_ignored and not cells.remarks:
        cells = replace(cells, remarks=(f"{num_ignored} pixels ignored",))
    num_cells, num_objects = (sum(map(num, counted.tables)) for num in (_num_cells, _num_objects))
    said = found.describe(num_objects, "object"), cells.describe(num_cells, "cell")
    return ImageCounts(name, counts, found.kind, *said, *dims)


def _num_cells(table: ContingencyTable) -> int:
    return len(np.unique(table.labels[table.labels > 0]))


def _num_objects(table: ContingencyTable) -> int:
    return len(np.unique(table.proposals[table.proposals > 0]))


def _classes(found: Segmentation, cells: Segmentation) -> ContingencyTable | None:
    """The table of the classes of the pixels; None if one of the segmentations has none."""
    if found.classes is None or cells.classes is None:
        return None
    labels: LabelArray = np.where(cells.objects < 0, IGNORED, cells.classes)
    return contingency_table(labels, found.classes)


def _probability(found: Segmentation, pixels: NDArray[Any], path: str, metrics: Sequence[Metric]) -> NDArray[Any]:
    """The probability of a cell (z, y, x), or a mask. Raises InvalidInput for instance labels and classes."""
    names = ", ".join(metric.name for metric in metrics if metric.needs == PROBABILITY)
    if found.kind == "mask":
        return np.asarray(found.objects > 0)
    if found.kind != "probability":
        raise InvalidInput(
            f"{path} is read as {found.title}, of which {names} cannot be computed",
            allowed="probabilities of a cell, 0 to 1, or a mask",
            hint="predict them with unettrain predict --instances none, or --also probabilities;"
            " --prediction mask if all numbers are foreground",
        )
    if len(pixels) > 1:
        return np.asarray(1 - pixels[0])
    return pixels[0] if pixels.dtype.kind == "f" else np.asarray(pixels[0] / FULL_SCALE[pixels.dtype.name])


def _pixels(source: Any) -> NDArray[Any]:
    return np.asarray(source.read(tuple(slice(0, n) for n in source.shape)))
