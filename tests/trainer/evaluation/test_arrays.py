"""Evaluation of arrays in one call."""

import numpy as np
import pytest

from tests.trainer.evaluation.helpers import CELL, LABELS, MASK, NUM_CELLS
from unettrain.errors import InvalidInput
from unettrain.evaluation.arrays import evaluate_arrays
from unettrain.evaluation.params import EvaluateParams
from unettrain.metrics import score, score_instances


def test_arrays_are_evaluated_as_files_are() -> None:
    done = evaluate_arrays(CELL.astype(np.float32), LABELS)
    assert done.scores == score(CELL.astype(np.float32) > 0.5, LABELS)
    assert (done.prediction_kind, done.threshold, done.dims) == ("probability", 0.5, 2)
    assert done.as_dict()["ap"]["0.50"] == done.scores.ap[0.5]
    assert f"{NUM_CELLS} cells" in done.as_text()


def test_a_stack_of_class_probabilities_needs_dims() -> None:
    volume = np.stack([1 - CELL, CELL])[:, None].repeat(2, axis=1).astype(np.float32)
    labels = np.stack([LABELS, LABELS])
    with pytest.raises(InvalidInput, match="array labels has 2 slices"):
        evaluate_arrays(volume, labels)
    done = evaluate_arrays(volume, labels, EvaluateParams(dims=2))
    assert done.scores.pixels.iou == evaluate_arrays(CELL, LABELS).scores.pixels.iou
    assert done.dims_reason == "--dims"


def test_arrays_of_two_sizes_are_refused() -> None:
    with pytest.raises(InvalidInput, match="array prediction and array labels differ in size"):
        evaluate_arrays(MASK[:-1], LABELS)


@pytest.mark.parametrize("values", [{"dims": 4}, {"prediction": "cells"}, {"instances": "none"}, {"ignore_label": 0.5}])
def test_a_parameter_that_is_none_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(values)).replace("_", "-")):
        EvaluateParams(**values)  # type: ignore[arg-type]


def test_instance_labels_of_one_image_are_scored_with_and_without_an_axis_of_slices() -> None:
    assert score_instances(LABELS, LABELS) == score_instances(LABELS[None], LABELS[None])
    assert score_instances(LABELS, LABELS).mean_ap == 1
