"""Scores of held-out images: trained, untrained, Otsu."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from tests.trainer.reporting.conftest import QUICK, MakeStore, Page
from unettrain.metrics.components import label_components
from unettrain.metrics.scores import foreground, score
from unettrain.model import UNet
from unettrain.prediction.image import predict_image
from unettrain.reporting import report as write_report
from unettrain.reporting.inputs import read_run
from unettrain.reporting.regions import Region, plan_regions
from unettrain.reporting.scores import (
    cells_are_brighter,
    make_shown,
    network_mask,
    otsu_mask,
    predict_region,
)
from unettrain.training_loop import fit


def number_cells(store: Path, name: str) -> zarr.Array[Any]:
    """Give an image of a test's store its instances: the pieces of the target, but for one that is left out."""
    root = zarr.open_group(store)
    target = root[f"images/{name}/labels/target/target"]
    assert isinstance(target, zarr.Array)
    labels = label_components(np.asarray(target[:]))
    labels[labels == 1] = 0
    path = f"images/{name}/labels/instances/instances"
    with zarr.config.set({"array.write_empty_chunks": True}):
        return root.create_array(path, data=labels, attributes={"unetprep": {"complete": True}})


def test_the_scores_are_those_of_the_whole_images(run: Path, make_store: MakeStore) -> None:
    store = make_store()
    labels = np.asarray(number_cells(store, "cells2")[:])
    scores = write_report(run, store=store).scores
    opened = read_run(run, store)
    image = np.asarray(opened.array("images/cells2/image", "import")[:])
    for method, network in (
        ("trained", opened.checkpoint.build()),
        ("untrained", UNet(opened.checkpoint.network, QUICK.seed)),
    ):
        mask = foreground(predict_image(network, image, (0.0, 255.0)))
        assert scores[method] == score(mask, labels)
    assert scores["otsu"] == score(otsu_mask(image, True), labels)
    assert scores["otsu"].as_dict()["cells"] == len(np.unique(labels)) - 1


def test_a_region_is_predicted_as_in_the_whole_image(
    make_store: MakeStore, cells: Callable[..., Any], tmp_path: Path
) -> None:
    store = make_store([cells(260, 0)])
    fit(store, tmp_path / "run", QUICK)
    opened = read_run(tmp_path / "run")
    network = opened.checkpoint.build()
    whole = predict_image(network, opened.array("images/cells0/image", "import"), (0.0, 255.0))
    (region,) = plan_regions({"cells0": ((1, 260, 260), 2)}, max_side_px=90)
    assert (region.y0, region.y1) == (64, 154)
    part = predict_region(opened, network, region, (1, 260, 260))
    np.testing.assert_allclose(part, whole[:, :, 64:154, 64:154], atol=1e-5)


def test_otsu_is_told_by_the_training_images_which_side_is_a_cell(
    run: Path, make_store: MakeStore, cells: Callable[..., Any]
) -> None:
    assert cells_are_brighter(read_run(run))
    bright = cells(40, 0)
    dark = type(bright)(255 - bright.image, bright.target, bright.weights)
    store = make_store([dark, cells(40, 1, "val")])
    assert not cells_are_brighter(read_run(run, store))
    assert "darker side" in Page(write_report(run, store=store).path).words


def test_a_network_that_gives_nan_predicts_background() -> None:
    nan = np.full((2, 1, 4, 4), np.nan, np.float32)
    assert not network_mask(nan).any()
    labels = np.ones((1, 4, 4), np.int32)
    shown = make_shown(Region("a", 2, 0, 1, 0, 4, 0, 4), np.zeros((1, 1, 4, 4), np.uint8), labels, nan)
    assert shown.probability.max() == 0


def test_ignored_pixels_do_not_decide_which_side_is_a_cell(make_store: MakeStore, run: Path) -> None:
    store = make_store()
    labels, image = number_cells(store, "cells0"), zarr.open_array(store / "images/cells0/image")
    opened = read_run(run, store)
    target = np.asarray(opened.array("images/cells0/labels/target/target", "weights")[:])
    ignored = (np.arange(target.size).reshape(target.shape) % 8 > 0) & (target == 0)
    image[:] = np.where(ignored, 255, np.asarray(image[:]))
    assert not cells_are_brighter(opened)
    labels[:] = np.where(ignored, -1, np.asarray(labels[:]))
    assert cells_are_brighter(read_run(run, store))


def test_otsu_splits_two_levels() -> None:
    image = np.zeros((2, 1, 4, 6), np.uint16)
    image[:, :, :, 3:] = 900
    np.testing.assert_array_equal(otsu_mask(image, True), image[0] > 0)
    np.testing.assert_array_equal(otsu_mask(image, False), image[0] == 0)
    assert not otsu_mask(np.full((1, 1, 3, 3), 7), True).any()
