"""Prediction by strips: as one tile of the whole image, wherever it begins, and with the memory that was planned."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.trainer.prediction.test_image import random_image, whole_at_once
from unetprep.kernels.tiling import is_legal_tile, smallest_tile
from unettrain.config import UNetConfig
from unettrain.errors import InvalidInput
from unettrain.model import UNet
from unettrain.prediction import panel_sizes, whole
from unettrain.prediction.image import predict_image
from unettrain.prediction.panel_sizes import plan_panels, strip_bytes
from unettrain.prediction.panels import PanelPlan, predict_panels
from unettrain.prediction.strip_plan import StripPlan


def model_of(depth: int = 2, **options: Any) -> UNet:
    return UNet(UNetConfig(base_channels=3, depth=depth, **options), seed=1).eval()


def scores_of(model: UNet, image: NDArray[np.float32], plan: PanelPlan, first_unit: int = 0) -> NDArray[np.float32]:
    """All scores (class, z, y, x); NaN where nothing was predicted."""
    found = np.full((model.config.num_classes, *image.shape[1:]), np.nan, np.float32)
    for _, blocks in predict_panels(model, image, (0.0, 1.0), plan, first_unit=first_unit):
        for w, block in blocks:
            assert np.isnan(found[:, w.z, w.y0 : w.y1, w.x0 : w.x1]).all()
            found[:, w.z, w.y0 : w.y1, w.x0 : w.x1] = block
    return found


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    probabilities: NDArray[np.float32] = torch.from_numpy(scores).softmax(0).numpy()
    return probabilities


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 50), st.integers(1, 50), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3)
)
def test_any_panels_and_strips_equal_the_whole(
    depth: int, height: int, width: int, panel: int, rows: int, batch: int
) -> None:
    model, image = model_of(depth), random_image(1, 2, height, width)
    plan = PanelPlan((2, height, width), depth, panel * 8 << depth >> 1, rows * (2 << depth), batch)
    found = softmax(scores_of(model, image, plan))
    np.testing.assert_allclose(found, whole_at_once(model, image), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{"variant": "release"}, {"normalization": "batch"}, {"padding": "same"}, {"num_classes": 3}]
)
def test_every_kind_of_network_equals_its_own_forward_pass(options: dict[str, Any]) -> None:
    model, image = model_of(3, **options), random_image(1, 1, 37, 45)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean = torch.rand(module.num_features)
            module.running_var = torch.rand(module.num_features) + 0.5
    found = scores_of(model, image, PanelPlan((1, 37, 45), 3, 16, 16))
    np.testing.assert_allclose(found[:, 0], whole.whole_scores(model, image[:, 0], (0.0, 1.0)), rtol=0, atol=2e-5)


def test_the_whole_of_a_padded_network_is_that_of_the_unpadded_one() -> None:
    """Mirrored context takes the place of zeros, as in training."""
    same, valid = model_of(2, padding="same"), model_of(2)
    image = random_image(1, 1, 30, 21)
    expected = whole_at_once(valid, image)
    np.testing.assert_allclose(softmax(whole.whole_scores(same, image[:, 0], (0, 1))), expected[:, 0], atol=1e-6)
    np.testing.assert_allclose(predict_image(same, image, (0.0, 1.0)), expected, atol=1e-6)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_prediction_that_begins_in_the_middle_is_the_same_bit_for_bit(depth: int) -> None:
    model, image = model_of(depth), random_image(1, 1, 90, 40)
    plan = PanelPlan((1, 90, 40), depth, 16, 2 << depth, 2)
    whole_image = scores_of(model, image, plan)
    for first in range(1, plan.num_units, 5):
        found = scores_of(model, image, plan, first)
        is_predicted = ~np.isnan(found)
        np.testing.assert_array_equal(found[is_predicted], whole_image[is_predicted])
        left = sum(
            (w.y1 - w.y0) * (w.x1 - w.x0)
            for unit in range(first, plan.num_units)
            for panel in plan.groups[unit // plan.strips.num_steps]
            for w in [plan.window(panel, unit % plan.strips.num_steps)]
        )
        assert is_predicted[0].sum() == left


def test_a_wrong_warm_up_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above compares rows that depend on what is computed before the first unit."""
    model, image = model_of(2), random_image(1, 1, 90, 40)
    plan = PanelPlan((1, 90, 40), 2, 40, 8)
    expected = scores_of(model, image, plan)
    monkeypatch.setattr(StripPlan, "warm_up", plan.strips.warm_up - 2)
    found = scores_of(model, image, plan, 9)
    assert (found[~np.isnan(found)] != expected[~np.isnan(found)]).any()


def test_the_lags_of_the_papers_network() -> None:
    plan = StripPlan(4, 64, 1000)
    assert [layer.lag for layer in plan.down] == [4, 6, 7, 8, 8]
    assert [layer.lag for layer in plan.up] == [184, 88, 40, 16]
    assert [plan.crop_px(level) for level in range(4)] == [88, 40, 16, 4]
    assert plan.output.lag == 188
    assert plan.before_px == 92


@given(st.integers(1, 5), st.integers(0, 400), st.integers(1, 3000), st.integers(1, 3000))
@settings(max_examples=50, deadline=None)
def test_panels_of_a_legal_tile_cover_every_column_once(depth: int, more: int, height: int, width: int) -> None:
    tile = smallest_tile(depth) + more * 2**depth
    config = UNetConfig(depth=depth, base_channels=1)
    model = UNet(config, seed=None)
    plan = plan_panels(model, (1, 1, height, width), tile)
    assert is_legal_tile(plan.input_width, depth)
    assert plan.width % 2**depth == 0
    assert plan.input_width <= max(tile, smallest_tile(depth) + 2**depth)
    columns = np.zeros(width, int)
    for group in plan.groups:
        for panel in group:
            columns[panel.x0 : panel.x0 + plan.width] += 1
    assert (columns == 1).all()
    rows = np.zeros(height, int)
    for step in range(plan.strips.num_steps):
        rows[slice(*plan.rows_of(step))] += 1
    assert (rows == 1).all()


def test_panels_fit_into_the_memory_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    model = UNet(UNetConfig(base_channels=16), seed=None)
    widths = []
    for available in (2**40, 2**29, 2**28, 2**20):
        monkeypatch.setattr(panel_sizes, "available_memory", lambda n=available: n)
        plan = plan_panels(model, (1, 1, 10**5, 10**5))
        assert plan.width == 16 or strip_bytes(model.config, plan.strips, plan.width) <= available / 4
        widths.append(plan.width)
    assert widths == sorted(widths, reverse=True)
    assert widths[0] == 4000
    assert widths[-1] == 16


def test_instance_normalisation_is_predicted_by_whole_slices_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    model, image = model_of(2, normalization="instance"), random_image(1, 2, 30, 30)
    found = predict_image(model, image, (0.0, 1.0), 60)
    np.testing.assert_allclose(found, whole_at_once(model, image), atol=1e-5)
    monkeypatch.setattr(whole, "available_memory", lambda: 1000)
    with pytest.raises(InvalidInput, match=r"takes .* GiB of memory; this network has instance normalisation"):
        predict_image(model, image, (0.0, 1.0))


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_of_nothing_is_refused(batch: int) -> None:
    with pytest.raises(InvalidInput, match=f"batch is {batch}"):
        predict_image(model_of(), random_image(1, 1, 9, 9), (0.0, 1.0), batch_size=batch)


def test_half_precision_is_close() -> None:
    model, image = model_of(2), random_image(1, 1, 40, 40)
    plan = PanelPlan((1, 40, 40), 2, 40, 16)
    half = np.zeros((2, 40, 40), np.float32)
    for _, blocks in predict_panels(model, image, (0.0, 1.0), plan, dtype=torch.bfloat16):
        for w, block in blocks:
            half[:, w.y0 : w.y1, w.x0 : w.x1] = block
    difference = abs(softmax(half) - whole_at_once(model, image)[:, 0])
    assert 0 < difference.max() < 0.05
