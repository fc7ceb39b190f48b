"""Scores of held-out images, and Otsu's threshold."""

from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import zarr

from tests.trainer.reporting.helpers import QUICK, MakeStore, Page, held_out, number_cells
from unettrain.decoding.arrays import separate_instances
from unettrain.decoding.params import DecodingParams
from unettrain.metrics.scores import score_instances
from unettrain.model import UNet
from unettrain.prediction.image import predict_image
from unettrain.reporting import report as write_report
from unettrain.reporting.inputs import read_run
from unettrain.reporting.otsu import cells_are_brighter, otsu_mask
from unettrain.reporting.pictures import outline_path
from unettrain.reporting.regions import Region, plan_regions
from unettrain.reporting.result_sections import prediction_section
from unettrain.reporting.scores import cells_of, make_shown, network_foreground, predict_region
from unettrain.training_loop import fit


def test_the_scores_are_those_of_the_whole_images(run: Path, make_store: MakeStore) -> None:
    store = make_store()
    labels = np.asarray(number_cells(store, "cells2")[:])
    scores = write_report(run, store=store).scores
    opened = read_run(run, store)
    decoding = opened.checkpoint.decoding_params
    image = np.asarray(opened.array("images/cells2/image", "import")[:])
    for method, network in (
        ("trained", opened.checkpoint.build()),
        ("untrained", UNet(opened.checkpoint.network, QUICK.seed)),
    ):
        cells = separate_instances(1 - predict_image(network, image, (0.0, 255.0))[0], decoding)
        assert scores[method] == score_instances(cells, labels)
    cells = separate_instances(otsu_mask(image, True).astype(np.float32), decoding)
    assert scores["otsu"] == score_instances(cells, labels)
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


def test_ignored_pixels_are_shown_neither_as_cells_nor_as_errors() -> None:
    labels = np.zeros((2, 8, 8), np.int32)
    labels[0, :, :5] = -1
    labels[1, 2:4, 2:4] = 1
    labels[1, 6:] = -1
    region, image = Region("a", 3, 0, 2, 0, 8, 0, 8), np.zeros((1, 2, 8, 8), np.uint8)
    foreground = np.where(labels != 0, 0.9, 0.1).astype(np.float32)
    shown = make_shown(region, image, labels, foreground, cells_of(foreground, region, DecodingParams()))
    np.testing.assert_array_equal(shown.labels, labels[1])  # not the slice with the most ignored pixels
    section = Page(prediction_section(held_out(shown)))
    *_, errors = (iio.imread(b64decode(src.partition(",")[2]), extension=".png") for src in section.values("src"))
    assert errors[2:4, 2:4].mean() > 100  # found
    assert errors[6:].max() == 0
    outline = next(value for tag, name, value in section.attributes if (tag, name) == ("path", "d"))
    assert outline == outline_path(labels[1] > 0)


def test_a_network_that_gives_nan_predicts_background() -> None:
    foreground = network_foreground(np.full((2, 1, 4, 4), np.nan, np.float32))
    assert not foreground.any()
    assert not cells_of(foreground, Region("a", 2, 0, 1, 0, 4, 0, 4), DecodingParams()).any()


def test_a_volume_has_cells_through_its_slices() -> None:
    foreground = np.zeros((3, 9, 9), np.float32)
    foreground[:, 2:7, 2:7] = 1
    cells = {dims: cells_of(foreground, Region("a", dims, 0, 3, 0, 9, 0, 9), DecodingParams()) for dims in (2, 3)}
    assert cells[3].max() == 1
    assert cells[2].max() == 3


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
