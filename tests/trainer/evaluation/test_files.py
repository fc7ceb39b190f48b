"""Evaluation of files: sizes, slices, channels."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from tests.trainer.evaluation.helpers import CELL, LABELS, NUM_CELLS, evaluate, refused
from unettrain.errors import InvalidInput
from unettrain.evaluation.files import evaluate_files
from unettrain.evaluation.params import EvaluateParams


def test_a_stack_needs_dims(tmp_path: Path) -> None:
    volume = np.repeat(LABELS[None], 3, axis=0)
    refused(tmp_path, r"3 slices(.|\n)*--dims 2 if(.|\n)*--dims 3 if", volume, volume)
    for dims, cells in ((2, 3 * NUM_CELLS), (3, NUM_CELLS)):
        scores = evaluate(tmp_path, volume, volume, dims=dims)
        assert (scores["mean_ap"], scores["cells"], scores["dims"]) == (1, cells, dims)
        assert scores["dims_reason"] == "--dims"
    assert evaluate(tmp_path, LABELS)["dims_reason"] == "a single slice"


def test_slices_that_imagej_calls_channels(tmp_path: Path) -> None:
    volume = np.repeat(LABELS[None], 5, axis=0)
    tifffile.imwrite(tmp_path / "channels.tif", volume, metadata={"axes": "CYX"})
    np.save(tmp_path / "labels.npy", volume)
    prediction, labels = (str(tmp_path / file) for file in ("channels.tif", "labels.npy"))
    assert evaluate_files(prediction, labels, EvaluateParams(dims=3)).scores.mean_ap == 1
    with pytest.raises(InvalidInput, match="--label-axes zyx"):
        evaluate_files(prediction, prediction, EvaluateParams(dims=3))
    assert evaluate_files(prediction, prediction, EvaluateParams(dims=3, label_axes="zyx")).scores.mean_ap == 1


def test_a_colour_picture_is_refused(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
    iio.imwrite(tmp_path / "cells.png", colours[LABELS])
    np.save(tmp_path / "labels.npy", LABELS)
    with pytest.raises(InvalidInput, match="a colour image"):
        evaluate_files(str(tmp_path / "cells.png"), str(tmp_path / "labels.npy"))
    with pytest.raises(InvalidInput, match="has 3 channels"):
        evaluate_files(str(tmp_path / "labels.npy"), str(tmp_path / "cells.png"))


def test_images_without_pixels_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, "at least one pixel along each axis", np.zeros((0, 5)), np.zeros((0, 5), np.uint8))


def test_class_probabilities_without_an_axis_of_slices_are_explained(tmp_path: Path) -> None:
    classes = np.stack([1 - CELL, CELL]).astype(np.float32)
    refused(tmp_path, r"differ in size(.|\n)*four axes \(class, z, y, x\)", np.concatenate([classes] * 3))
