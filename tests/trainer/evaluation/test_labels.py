"""Interpretation of labels, and what is refused, on small synthetic images."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from skimage import measure

from tests.synthetic import cell_image
from tests.trainer.evaluation.helpers import LABELS, MASK, NUM_CELLS, evaluate, refused
from unettrain.evaluation.files import evaluate_files
from unettrain.evaluation.many import evaluate_metrics
from unettrain.evaluation.params import EvaluateParams


@pytest.mark.parametrize("value", [1, 255])
def test_a_binary_mask_is_not_taken_for_one_cell(tmp_path: Path, value: int) -> None:
    mask = MASK * np.uint8(value)
    refused(tmp_path, f"holds a binary mask: .* parts of the only number {value}\n(.|\n)*--instances comp", mask, mask)
    scores = evaluate(tmp_path, mask, mask, instances="components")
    assert (scores["mean_ap"], scores["cells"]) == (1, int(ndimage.label(mask)[1]))
    assert scores["labels_read_as"] == f"connected components of a mask ({scores['cells']} cells)"
    assert evaluate(tmp_path, mask, mask, instances="ids")["cells"] == 1


def test_pieces_of_one_number_are_cells_even_where_they_touch(tmp_path: Path) -> None:
    numbers = np.where(LABELS > 0, 1 + LABELS % 4, 0).astype(np.uint8)
    truth = measure.label(numbers, connectivity=1).astype(np.int32)  # type: ignore[no-untyped-call]
    assert truth.max() > ndimage.label(numbers)[1], "some cells touch"
    refused(tmp_path, "values change gradually", truth, cell_image(LABELS), instances="pieces")
    refused(tmp_path, "pieces if each part of one number is", truth, numbers)
    scores = evaluate(tmp_path, truth, numbers, instances="pieces")
    assert (scores["mean_ap"], scores["cells"]) == (1, truth.max())
    assert scores["labels_read_as"] == f"connected pieces of one number ({truth.max()} cells)"
    params = EvaluateParams(metrics="iou,ap", instances="pieces")
    done = evaluate_metrics(tmp_path / "prediction.npy", tmp_path / "labels.npy", params)
    assert done.overall["ap"].values()["mean"] == 1


def test_one_cell_is_not_taken_for_a_binary_mask(tmp_path: Path) -> None:
    one = (LABELS == 1).astype(np.uint8) * 255
    assert evaluate(tmp_path, one, one)["mean_ap"] == 1
    stack = np.zeros((2, 20, 20), np.uint8)
    stack[0, 2:6, 2:6] = stack[1, 9:15, 9:15] = 7
    assert evaluate(tmp_path, stack, stack, dims=2)["cells"] == 2
    refused(tmp_path, "binary mask", stack, stack, dims=3)


def test_ignored_pixels_of_a_file(tmp_path: Path) -> None:
    labels = np.where(LABELS == 3, 255, LABELS).astype(np.uint8)
    scores = evaluate(tmp_path, LABELS, labels, ignore_label=255)
    assert (scores["cells"], scores["proposed"], scores["ignored_proposals"]) == (NUM_CELLS - 1, NUM_CELLS - 1, 1)
    assert (scores["mean_ap"], scores["iou"]) == (1, 1)
    num = int((LABELS == 3).sum())
    assert scores["labels_read_as"] == f"instance labels ({num} pixels ignored, {NUM_CELLS - 1} cells)"
    done = evaluate_files(tmp_path / "prediction.npy", tmp_path / "labels.npy", EvaluateParams(ignore_label=255))
    assert "1 more in ignored pixels" in done.as_text()
    negative = np.where(LABELS == 3, -1, LABELS.astype(np.int32))
    refused(tmp_path, r"holds the number -1(.|\n)*--ignore-label -1 if", LABELS, negative)
    assert evaluate(tmp_path, LABELS, negative, ignore_label=-1)["mean_ap"] == 1
    refused(tmp_path, "--ignore-label is 0, which is background", LABELS, LABELS, ignore_label=0)


@pytest.mark.parametrize("kind", ["uint8", "bool", "float32"])
def test_empty_predictions_and_labels_are_scored(tmp_path: Path, kind: str) -> None:
    none = np.zeros(LABELS.shape, kind)
    missed = evaluate(tmp_path, none)
    assert (missed["iou"], missed["dice"], missed["mean_ap"], missed["proposed"]) == (0, 0, 0, 0)
    nothing = np.zeros_like(LABELS)
    both = evaluate(tmp_path, none, nothing)
    assert (both["iou"], both["dice"], both["mean_ap"], both["cells"]) == (1, 1, 1, 0)
    assert both["labels_read_as"] == "instance labels (0 cells)"
    invented = evaluate(tmp_path, LABELS, nothing)
    assert (invented["iou"], invented["mean_ap"], invented["proposed"]) == (0, 0, NUM_CELLS)
    assert evaluate(tmp_path, LABELS, nothing, instances="components")["mean_ap"] == 0


def test_a_number_for_pixels_without_a_label_is_no_cell(tmp_path: Path) -> None:
    rim = (ndimage.maximum_filter(LABELS, 3) > 0) & (LABELS == 0)
    labels = np.where(rim, 255, LABELS).astype(np.uint8)
    refused(tmp_path, "255, which seems to mark pixels without a label\n(.|\n)*--ignore-label 255", LABELS, labels)
    assert evaluate(tmp_path, LABELS, labels, instances="ids")["cells"] == NUM_CELLS + 1


def test_a_prediction_of_classes_is_named_as_one_way_to_read_it(tmp_path: Path) -> None:
    kinds = np.where(LABELS > 0, 1 + LABELS % 3, 0).astype(np.uint8)
    refused(tmp_path, r"is ambiguous: numbers in several (.|\n)*--prediction classes", kinds, LABELS)
