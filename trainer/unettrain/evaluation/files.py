"""Scoring of a prediction file against a label file, and the printed form of the scores."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.weight_formula import IGNORED
from unetprep.sources import Source, open_labels, open_source
from unetprep.sources.urls import is_url, local_path, names_in
from unetprep.store import Store
from unettrain.errors import InvalidInput
from unettrain.evaluation.segmentations import Segmentation, check_label_dtype, read_labels, read_prediction
from unettrain.metrics.scores import score_instances

OWN_LABELS = "labels/instances"  # of an image in a store


@dataclass(frozen=True)
class EvaluateOptions:
    """How the files are interpreted; see `segmentations` for the kinds, and `evaluate_files` for dims."""

    dims: int | None = None
    prediction: str = "auto"
    threshold: float | None = None
    instances: str = "auto"
    ignore_label: int | None = None


def evaluate_files(prediction: str, labels: str, options: EvaluateOptions | None = None) -> dict[str, Any]:
    """The scores of one image, and how prediction and labels were interpreted.

    dims 2: the slices of a stack are independent images; dims 3: a stack is one volume. By default as the store records
    it for labels in a store, 2 for a single slice, and an error for any other stack. Raises InvalidInput if the sizes
    differ, or if a file cannot be interpreted.
    """
    chosen = options or EvaluateOptions()
    own = _own_labels(labels)
    truth, proposed = open_labels(own or labels), open_source(prediction)
    if proposed.axes == "cyx" and truth.shape[1] > 1 and np.dtype(proposed.dtype).kind in "bui":
        proposed = replace(proposed, axes="zyx")  # as of labels: ImageJ calls the slices of a stack channels
    check_label_dtype(labels, truth.shape[0], np.dtype(truth.dtype))
    _check_sizes(proposed, truth, prediction, labels)
    dims, reason = _find_dims(labels, _stored_dims(labels) if own else None, truth.shape[1], chosen.dims)
    ignore_label = _stored_ignore_label(labels, chosen.ignore_label) if own else chosen.ignore_label
    cells = read_labels(_whole(truth), labels, dims, chosen.instances, ignore_label)
    found = read_prediction(_whole(proposed), prediction, dims, chosen.prediction, chosen.threshold)
    scores = score_instances(found.objects, cells.objects, dims).as_dict()
    return scores | _interpretation(found, cells, scores, dims, reason)


def _interpretation(
    found: Segmentation, cells: Segmentation, scores: dict[str, Any], dims: int, reason: str
) -> dict[str, Any]:
    num_objects = scores["proposed"] + scores["ignored_proposals"]
    return {
        "prediction_kind": found.kind,
        "prediction_read_as": found.describe(num_objects, "object"),
        "labels_read_as": cells.describe(scores["cells"], "cell"),
        "threshold": found.threshold,
        "dims": dims,
        "dims_reason": reason,
    }


def _check_sizes(proposed: Source, truth: Source, prediction: str, labels: str) -> None:
    for path, source in ((prediction, proposed), (labels, truth)):
        if 0 in source.shape:
            raise InvalidInput(f"{path} has shape {source.file_shape}", allowed="at least one pixel along each axis")
    if proposed.shape[1:] != truth.shape[1:]:
        raise InvalidInput(
            f"{prediction} and {labels} differ in size: {proposed.shape[1:]} and {truth.shape[1:]} pixels (z, y, x)",
            hint="class probabilities in .npy need four axes (class, z, y, x)" if _may_be_classes(proposed) else "",
        )


def _may_be_classes(proposed: Source) -> bool:
    return proposed.path.endswith(".npy") and proposed.axes == "zyx" and np.dtype(proposed.dtype).kind == "f"


def _find_dims(labels: str, stored: int | None, num_slices: int, asked: int | None) -> tuple[int, str]:
    """dims, and why."""
    if asked is not None:
        return asked, "--dims" if stored in (None, asked) else f"--dims; the store says {stored}"
    if stored is not None:
        return stored, "as the store says"
    if num_slices == 1:
        return 2, "a single slice"
    raise InvalidInput(
        f"{labels} has {num_slices} slices, which may be independent images or one volume",
        hint="--dims 2 if each slice has cells of its own, --dims 3 if cells extend over slices",
    )


def _own_labels(image: str) -> str | None:
    """Path or URL of the labels of STORE/images/NAME; None for anything else."""
    own = f"{local_path(image)}/{OWN_LABELS}"
    return own if (names_in(own) if is_url(own) else Path(own).exists()) else None


def _stored_dims(image: str) -> int | None:
    """`dims` of STORE/images/NAME; None for an image group that lies in no store."""
    path = local_path(image)
    store, group, name = (path if is_url(path) else str(Path(path).absolute())).rstrip("/").rsplit("/", 2)
    return Store.open(store).dims(name) if group == "images" else None


def _stored_ignore_label(image: str, asked: int | None) -> int:
    if asked not in (None, IGNORED):
        raise InvalidInput(
            f"--ignore-label is {asked}, but the labels of {image} in a store mark ignored pixels as {IGNORED}",
            hint="leave out --ignore-label",
        )
    return IGNORED


def _whole(source: Source) -> NDArray[Any]:
    return source.read(tuple(slice(0, n) for n in source.shape))


def as_text(scores: dict[str, Any]) -> str:
    """How the files were interpreted and the scores of one image, in a few lines."""
    ap = "  ".join(f"{t} {value:.3f}" for t, value in scores["ap"].items())
    dropped = scores["ignored_proposals"]
    return (
        f"prediction read as: {scores['prediction_read_as']}\n"
        f"labels read as:     {scores['labels_read_as']}\n"
        f"dims:               {scores['dims']} ({scores['dims_reason']})\n"
        f"foreground  IoU {scores['iou']:.4f}  Dice {scores['dice']:.4f}"
        f"  precision {scores['precision']:.4f}  recall {scores['recall']:.4f}\n"
        f"cells       {scores['found']} of {scores['cells']} found at IoU 0.5, {scores['proposed']} proposed"
        f"{f', {dropped} more in ignored pixels' if dropped else ''}\n"
        f"AP          mean {scores['mean_ap']:.3f};  at IoU {ap}"
    )


def as_table(scores: dict[str, Any]) -> str:
    """The scores of several methods, a line each."""
    lines = [f"{'':<10}" + "".join(f"{h:>9}" for h in ("IoU", "AP 0.5", "AP 0.7", "AP 0.9", "mean AP"))]
    for name in ("trained", "untrained", "otsu"):
        found = scores[name]
        values = [found["iou"], *(found["ap"][t] for t in ("0.50", "0.70", "0.90")), found["mean_ap"]]
        lines.append(f"{name:<10}" + "".join(f"{v:>9.3f}" for v in values))
    return "\n".join(lines)
