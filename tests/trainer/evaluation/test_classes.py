"""Scores by class: the class of an object is that of most of its pixels."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

import unetprep
import unettrain
from tests.synthetic import cell_labels
from tests.trainer.evaluation.helpers import evaluate, refused
from unettrain.config import FitConfig
from unettrain.evaluation.classes import score_classes
from unettrain.evaluation.segmentation import Segmentation
from unettrain.metrics.components import label_by_value

TRUE = np.zeros((12, 24), np.uint8)
TRUE[2:6, 2:6], TRUE[2:6, 10:14], TRUE[7:11, 10:14], TRUE[2:6, 16:22] = 1, 1, 2, 2


def one_hot(classes: np.ndarray, num_classes: int = 3) -> np.ndarray:
    """Class probabilities (class, 1, y, x)."""
    return np.stack([classes == c for c in range(num_classes)])[:, None].astype(np.float32)


def test_components_of_equal_value() -> None:
    values = np.array([[1, 1, 2], [0, 2, 2], [1, 0, 1]])
    np.testing.assert_array_equal(label_by_value(values), [[1, 1, 4], [0, 4, 4], [2, 0, 3]])
    diagonal = np.array([[1, 0], [0, 1]])
    assert (label_by_value(diagonal).max(), label_by_value(diagonal, 8).max()) == (2, 1)


def test_semantic_labels_are_scored_by_class(tmp_path: Path) -> None:
    proposed = TRUE.copy()
    proposed[2:6, 16:22] = 1  # one of the cells of class 2, but for two columns
    proposed[2:6, 20:22] = 2
    for prediction, kind in ((one_hot(proposed), "auto"), (proposed, "classes")):
        found = evaluate(tmp_path, prediction, TRUE, num_classes=3, prediction=kind)
        one, two = found["classes"]
        assert (one["class"], two["class"]) == (1, 2)
        assert one["iou"] == pytest.approx(32 / (32 + 16))
        assert two["iou"] == pytest.approx((16 + 8) / (16 + 24))
        assert (one["cells"], one["found"], one["proposed"]) == (2, 2, 3)
        assert (two["cells"], two["found"]) == (2, 1)
    assert found["iou"] == 1


def test_ignored_pixels_belong_to_no_class(tmp_path: Path) -> None:
    labels, proposed = TRUE.copy(), TRUE.copy()
    labels[2:6, 2:6] = 200
    proposed[2:6, 2:6] = 2
    found = evaluate(tmp_path, one_hot(proposed), labels, num_classes=3, ignore_label=200)["classes"]
    assert [(c["iou"], c["mean_ap"]) for c in found] == [(1, 1), (1, 1)]


def test_without_classes_nothing_is_scored_by_class(tmp_path: Path) -> None:
    assert "classes" not in evaluate(tmp_path, one_hot(TRUE), (TRUE > 0) * label_by_value(TRUE))
    probability = (TRUE > 0).astype(np.float32)
    assert evaluate(tmp_path, probability, TRUE, num_classes=3)["classes"] == []
    labels = Segmentation(TRUE, "", "", classes=TRUE)
    assert score_classes(Segmentation(TRUE, "", ""), labels, 3, 2) == ()


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "holds the number 2 with 2 classes", one_hot(TRUE), TRUE, num_classes=2)
    refused(tmp_path, "probabilities of 3 classes, and the labels have 4", one_hot(TRUE), TRUE, num_classes=4)
    refused(tmp_path, "holds the number 7 with 3 classes", TRUE * 7 // 2, TRUE, num_classes=3, prediction="classes")
    refused(tmp_path, "and the labels have none", TRUE, label_by_value(TRUE), prediction="classes")
    refused(tmp_path, "most likely class", one_hot(TRUE), TRUE, num_classes=3, threshold=0.4)
    refused(tmp_path, "holds fractions", TRUE * 0.5, TRUE, num_classes=3, prediction="classes")


def test_classes_are_learned_and_scored_from_files_to_scores(tmp_path: Path) -> None:
    """Bright and dark cells are two classes."""
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    for k in range(4):
        cells = cell_labels((84, 84), 8, seed=k)
        classes = np.where(cells > 0, 1 + cells % 2, 0).astype(np.uint8)
        noise = np.random.default_rng(k).normal(0, 3, cells.shape)
        image = np.array([40, 120, 220])[classes] + noise
        tifffile.imwrite(tmp_path / "images" / f"{k}.tif", image.astype(np.uint8))
        tifffile.imwrite(tmp_path / "labels" / f"{k}.tif", classes)
    store = str(tmp_path / "ds.zarr")
    stages = [unetprep.WeightsParams(), unetprep.TilesParams(tile_px=52, depth=1, margin_px=0)]
    importing = unetprep.ImportParams(num_classes=3, test_fraction=0.25)
    unetprep.prepare_store(store, [tmp_path / "images"], [tmp_path / "labels"], stages, importing=importing)
    config = FitConfig(
        base_channels=8,
        steps=120,
        optimizer="adam",
        schedule="constant",
        best_by="loss",
        learning_rate=0.003,
        deform=False,
        gray_values=False,
        dropout=0.0,
        threads=1,
    )
    unettrain.fit(store, tmp_path / "run", config)
    (name,) = (i.name for i in unetprep.info(store).images if i.record["split"] == "test")
    held_out = f"{store}/images/{name}"
    unettrain.predict_files(tmp_path / "run", held_out, tmp_path / "p.tif", decoding={"instances": "none"})
    assert tifffile.imread(tmp_path / "p.tif").shape == (3, 84, 84)
    done = unettrain.evaluate_files(tmp_path / "p.tif", held_out)
    assert [each.number for each in done.classes or ()] == [1, 2]
    assert min(each.scores.pixels.iou for each in done.classes or ()) > 0.5
    assert "class 2     IoU" in done.as_text()
    with pytest.raises(unettrain.UnettrainError, match="num-classes is 2, and the store has 3 classes"):
        unettrain.fit(store, tmp_path / "other", FitConfig(num_classes=2, steps=1, deform=False))
