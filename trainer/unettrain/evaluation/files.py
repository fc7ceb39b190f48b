"""Evaluation of a prediction file against a label file or an image of a store."""

import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from unetprep.format.layout import labels_path
from unetprep.kernels.weight_formula import IGNORED
from unetprep.sources import Source, open_labels
from unetprep.sources.labels import as_labels
from unetprep.sources.source import Choice
from unetprep.sources.urls import is_url, local_path, names_in
from unettrain.data.stacked_images import find_stacked, open_image_file, open_stacked, split_path
from unettrain.data.store import image_places, image_record, open_store, recorded
from unettrain.errors import InvalidInput, raises_own_errors
from unettrain.evaluation.arrays import evaluate_sources
from unettrain.evaluation.params import EvaluateParams
from unettrain.evaluation.result import Evaluation
from unettrain.prediction.layout import threshold_in
from unettrain.prediction.outputs import mark_in

OWN_LABELS, OWN_CLASSES = "labels/instances", "labels/classes"  # of an image in a store


@raises_own_errors
def evaluate_files(prediction: str | Path, labels: str | Path, params: EvaluateParams | None = None) -> Evaluation:
    """Evaluate a prediction file against a label file, or against the labels of an image of a store, STORE/images/NAME.

    The scores are those of one image: IoU of the foreground and AP of the cells; `evaluate_metrics` takes several
    images and all metrics. `params` say how the files are interpreted. `dims` is by default what the store records, and
    2 for a single slice; any other stack needs it. Raises InvalidInput if the sizes differ, or if a file cannot be
    interpreted.

        unettrain.evaluate_files("prediction.tif", "labels.tif").scores.mean_ap
    """
    pair = open_pair(os.fspath(prediction), os.fspath(labels), params or EvaluateParams())
    return evaluate_sources(pair.proposed, pair.truth, pair.params, pair.stored_dims, pair.classes, pair.recorded)


class OpenedPair(NamedTuple):
    """Sources of a prediction and of its labels, how they are interpreted, and what the files say about that."""

    proposed: Source
    truth: Source
    params: EvaluateParams
    stored_dims: int | None = None
    classes: tuple[Source, int] | None = None  # of the labels, and their number
    recorded: float | None = None  # threshold that `predict` wrote into probabilities


def open_pair(prediction: str, labels: str, params: EvaluateParams) -> OpenedPair:
    """Open a prediction and its labels, of a file or of STORE/images/NAME. Raises InvalidInput as `evaluate_files`."""
    proposed, threshold = open_image_file(prediction), recorded_threshold(prediction)
    truth = _own_labels(labels, OWN_LABELS)
    if truth is None:
        choice = Choice(params.label_axes, channel=params.label_channel, is_labels=True)
        truth = as_labels(open_image_file(labels, choice), choice.channel)
        return OpenedPair(_of_classes(proposed, truth, threshold), truth, params, recorded=threshold)
    if params.ignore_label not in (None, IGNORED):
        raise InvalidInput(
            f"--ignore-label is {params.ignore_label}, but the labels of {labels} in a store mark ignored pixels as"
            f" {IGNORED}",
            hint="leave out --ignore-label",
        )
    classes = _stored_classes(labels)
    if params.num_classes not in (None, classes[1] if classes else None):
        raise InvalidInput(
            f"--num-classes is {params.num_classes}, but {labels} is an image of a store, which "
            + (f"has {classes[1]} classes" if classes else "holds cells without classes"),
            hint="leave out --num-classes",
        )
    params, dims = replace(params, ignore_label=IGNORED), _stored_dims(labels)
    return OpenedPair(_of_classes(proposed, truth, threshold), truth, params, dims, classes, threshold)


def recorded_threshold(path: str) -> float | None:
    """The threshold that `unettrain predict` has recorded in probabilities: the run's, or --threshold."""
    return None if is_url(path) or not os.path.exists(path) else threshold_in(mark_in(Path(path)))


def _of_classes(proposed: Source, truth: Source, threshold: float | None) -> Source:
    """A prediction with its axes: one slice of classes of ours, which .npy does not tell from a stack of slices."""
    has_classes = threshold is not None and proposed.axes == "zyx" and proposed.shape[1] > truth.shape[1] == 1
    return replace(proposed, axes="cyx") if has_classes else proposed


def _own_labels(image: str, part: str) -> Source | None:
    """The labels, or another part, of STORE/images/NAME; None for anything else."""
    if stacked := find_stacked(image):
        return None if stacked.part else open_stacked(image, stacked._replace(part=part))
    own = f"{local_path(image)}/{part}"
    return open_labels(own) if (names_in(own) if is_url(own) else Path(own).exists()) else None


def _stored_dims(image: str) -> int | None:
    """`dims` of STORE/images/NAME; None for an image group outside of a store."""
    store, name, part = split_path(image) or ("", "", "")
    if not name or part:
        return None
    open_store(store)
    return int(image_record(store, name, "dims")["dims"])


def _stored_classes(image: str) -> tuple[Source, int] | None:
    """The classes of the cells of STORE/images/NAME, and their number; None if they have none."""
    store, name, part = split_path(image) or ("", "", "")
    if not name or part or (place := image_places(store).get(name)) is None:
        return None
    made = recorded(store, labels_path(place.group, "classes")).get("parameters", {})
    found = _own_labels(image, OWN_CLASSES) if made else None
    return (found, int(made["num_classes"])) if found else None
