"""Interpretation of predictions, and what is refused, on small synthetic images."""

from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from tests.trainer.evaluation.helpers import CELL, LABELS, MASK, NUM_CELLS, evaluate, refused


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "int64", "float32"])
def test_instance_labels_are_used_as_they_are(tmp_path: Path, dtype: str) -> None:
    permuted = np.append(0, np.random.default_rng(0).permutation(np.arange(1, 251)))[LABELS].astype(dtype)
    scores = evaluate(tmp_path, permuted)
    assert (scores["iou"], scores["mean_ap"], scores["proposed"]) == (1, 1, NUM_CELLS)
    stored = "stored as float32, " if dtype == "float32" else ""
    assert scores["prediction_read_as"] == f"instance labels ({stored}{NUM_CELLS} objects)"
    assert (scores["prediction_kind"], scores["threshold"]) == ("instances", None)


def test_an_instance_in_two_parts_is_one_object(tmp_path: Path) -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[2:6, 2:6], labels[2:6, 10:14], labels[12:16, 2:6], labels[12:16, 10:14] = 1, 1, 2, 3
    assert evaluate(tmp_path, labels, labels)["mean_ap"] == 1


@pytest.mark.parametrize(("dtype", "value"), [("bool", 1), ("uint8", 1), ("uint8", 255), ("uint16", 7)])
def test_two_values_are_a_mask(tmp_path: Path, dtype: str, value: int) -> None:
    scores = evaluate(tmp_path, (MASK * value).astype(dtype))
    pieces = int(ndimage.label(MASK)[1])
    assert (scores["iou"], scores["proposed"], scores["prediction_kind"]) == (1, pieces, "mask")
    assert scores["prediction_read_as"] == f"mask ({pieces} objects)"


def test_floating_point_numbers_up_to_1_are_probabilities(tmp_path: Path) -> None:
    scores = evaluate(tmp_path, CELL.astype(np.float32))
    expected = evaluate(tmp_path, CELL.astype(np.float32) > 0.5)
    assert scores["prediction_read_as"] == f"probability (foreground > 0.5, {scores['proposed']} objects)"
    assert (scores["iou"], scores["ap"]) == (expected["iou"], expected["ap"])
    other = evaluate(tmp_path, CELL.astype(np.float32), threshold=0.3)
    assert other["iou"] == evaluate(tmp_path, CELL.astype(np.float32) > np.float32(0.3))["iou"] != scores["iou"]
    assert other["threshold"] == 0.3


def test_channels_with_the_sum_1_are_class_probabilities(tmp_path: Path) -> None:
    classes = np.stack([1 - CELL, 0.7 * CELL, 0.3 * CELL])[:, None].astype(np.float32)
    scores = evaluate(tmp_path, classes)
    assert scores["iou"] == evaluate(tmp_path, 1 - CELL < 0.7 * CELL)["iou"]
    said = "class probabilities (3 classes, foreground where class 0 is not the most likely, "
    assert scores["prediction_read_as"].startswith(said)
    assert evaluate(tmp_path, classes, threshold=0.5)["iou"] == evaluate(tmp_path, CELL > 0.5)["iou"]
    refused(tmp_path, "3 channels whose sum ranges from", classes * np.float32(0.5))


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 255), ("uint16", 65535)])
def test_integer_probabilities_have_to_be_asked_for(tmp_path: Path, dtype: str, top: int) -> None:
    scaled = np.rint(CELL * top).astype(dtype)
    refused(tmp_path, rf"ambiguous: values change gradually(.|\n)*--prediction probability if {top} is", scaled)
    scores = evaluate(tmp_path, scaled, prediction="probability")
    expected = evaluate(tmp_path, CELL > 0.5)
    assert (scores["iou"], scores["ap"]) == (expected["iou"], expected["ap"])
    assert f"probability ({dtype} / {top}, foreground > 0.5" in scores["prediction_read_as"]


@pytest.mark.parametrize("quality", [30, 75, 95, 100])
def test_a_jpeg_of_a_mask_is_refused_without_a_threshold(tmp_path: Path, quality: int) -> None:
    damaged = iio.imread(iio.imwrite("<bytes>", MASK * 255, extension=".jpg", plugin="pillow", quality=quality))
    assert len(np.unique(damaged)) > 2
    refused(tmp_path, r"is ambiguous: (.|\n)*--prediction mask --threshold 127 if", damaged)
    refused(tmp_path, "is no clean mask", damaged, prediction="mask")
    refused(tmp_path, "neither instance labels nor a clean mask", MASK, damaged)
    refused(tmp_path, "neither instance labels nor a clean mask", MASK, damaged, instances="components")
    scores = evaluate(tmp_path, damaged, prediction="mask", threshold=127)
    assert scores["iou"] > 0.98
    assert scores["prediction_read_as"].startswith("mask (foreground > 127, ")


def test_interpolated_masks_and_labels_are_refused(tmp_path: Path) -> None:
    for order in (1, 3):
        resized = np.clip(ndimage.zoom(LABELS.astype(float), 1.3, order=order), 0, 255).astype(np.uint8)
        same = ndimage.zoom(LABELS, 1.3, order=0)
        refused(tmp_path, "is ambiguous: values change gradually", resized, same)
        refused(tmp_path, "values change gradually", same, resized)


def test_classes_are_no_instance_labels(tmp_path: Path) -> None:
    classes = MASK + ndimage.binary_erosion(MASK, iterations=3)  # 1 at the boundary of cells, 2 inside
    classes = np.where(classes == 2, 1, np.where(classes == 1, 2, 0)).astype(np.uint8)
    refused(tmp_path, "numbers in several separate pieces, as classes are: 1 in ", classes)
    refused(tmp_path, "numbers in several separate pieces, as classes are: 1 in ", MASK, classes)
    assert evaluate(tmp_path, classes, prediction="instances")["proposed"] == 2
    assert evaluate(tmp_path, classes, prediction="mask", threshold=0)["iou"] == 1


@pytest.mark.parametrize(
    ("prediction", "message"),
    [
        (np.stack([LABELS] * 3, axis=-1).astype(np.uint8), "3 channels of uint8: a colour image"),
        (np.where(MASK, np.nan, 0.5), "values that are NaN or infinite"),
        (np.where(MASK, np.inf, 1), "values that are NaN or infinite"),
        (CELL * 6 - 3, "holds values from .*\n.*\n.*apply a sigmoid"),
        (CELL * 255, "holds values from 0 to 255"),
        (np.rint(CELL * 255), "ambiguous: values change gradually(.|\n)*divided by their largest"),
        (LABELS.astype(np.int32) - 1, "holds the number -1"),
        (LABELS.astype(np.int64) << 40, "holds the number .*\n.*allowed: 0 to 2147483647"),
        (MASK.astype(np.complex64), "has dtype complex64"),
    ],
)
def test_what_cannot_be_interpreted_is_refused(tmp_path: Path, prediction: NDArray[Any], message: str) -> None:
    refused(tmp_path, message, prediction)


@pytest.mark.parametrize(
    ("prediction", "options", "message"),
    [
        (LABELS, {"threshold": 0.5}, r"--threshold is 0\.5, but .* is read as instance labels"),
        (MASK, {"threshold": 0.5}, r"--threshold is 0\.5, but .* is read as a mask"),
        (LABELS, {"threshold": 3, "prediction": "instances"}, "is read as instance labels"),
        (CELL, {"threshold": 128}, "--threshold is 128 for probabilities"),
        (CELL, {"prediction": "instances"}, "holds fractions"),
        (CELL, {"prediction": "mask"}, r"no whole numbers(.|\n)*--prediction mask --threshold 0\.5"),
        (np.where(MASK, np.nan, 0), {"prediction": "mask", "threshold": 0.5}, "NaN or infinity"),
        (MASK, {"prediction": "probability"}, r"none above 1 / 255(.|\n)*--prediction mask"),
        (MASK.astype(np.uint16) * 255, {"prediction": "probability"}, "none above 255 / 65535"),
        (LABELS.astype(np.int32), {"prediction": "probability"}, "probabilities of int32"),
        (CELL * 3, {"prediction": "probability"}, "holds values from 0 to 3"),
        (MASK, {"prediction": "mask", "threshold": float("nan")}, "threshold is nan"),
    ],
)
def test_values_that_do_not_fit_the_options_are_refused(
    tmp_path: Path, prediction: NDArray[Any], options: dict[str, Any], message: str
) -> None:
    refused(tmp_path, message, prediction, **options)
