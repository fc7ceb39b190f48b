"""Augmentation of batches by torch, held against that of single tiles by numba, and both against scipy in float64."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests import reference
from unetprep import displacement_field
from unetprep.kernels.random_fields import draw_grids
from unetprep.kernels.warp import Transform
from unettrain.augment.cpu import apply
from unettrain.augment.draw import Draw, draw
from unettrain.augment.gpu import augment_batch, warp_batch
from unettrain.config import Augmentation
from unettrain.data.opening import StoredFields
from unettrain.data.tiles import StoredTile

SIDE, OUTPUT, MARGIN = 60, 20, 8
INSET = (SIDE - OUTPUT) // 2
FIELDS = StoredFields(draw_grids(0, range(6), (3, 4), 3.0), {})
EVERYTHING = Augmentation(rotation=30, scale=1.25, shift=4, noise=0.1, blur=1.5)


def tiles(count: int, dtype: str = "uint8") -> list[StoredTile]:
    rng, outer, inner = np.random.default_rng(1), SIDE + 2 * MARGIN, OUTPUT + 2 * MARGIN
    return [
        StoredTile(
            rng.integers(0, 256, (2, outer, outer)).astype(dtype),
            rng.integers(0, 5, (inner, inner), dtype=np.uint8) * 50,
            rng.random((inner, inner), np.float32) * (rng.random((inner, inner)) < 0.8),
            (float(k), 200.0 + k),
        )
        for k in range(count)
    ]


def scaled(tile: StoredTile) -> StoredTile:
    """A tile that is scaled already."""
    return replace(tile, image=tile.image.astype(np.float32) / 256, intensity=(0.0, 1.0))


def batch(stored: list[StoredTile]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    arrays = zip(*((tile.image, tile.target, tile.weights) for tile in stored), strict=True)
    image, target, weights = (torch.from_numpy(np.stack(a)) for a in arrays)
    return image, target, weights


def middle(tensor: torch.Tensor) -> torch.Tensor:
    return tensor[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


def turn(degrees: float, scale: float = 1.0) -> NDArray[np.float64]:
    return Draw(angle=degrees, scale=scale).matrix


@settings(deadline=None)
@given(
    seed=st.integers(0, 1000),
    kinds=st.builds(
        Augmentation,
        deform=st.booleans(),
        flips=st.booleans(),
        gray_values=st.booleans(),
        rotation=st.sampled_from([0, 30]),
        scale=st.sampled_from([1, 1.25]),
        shift=st.sampled_from([0, 9]),
        noise=st.sampled_from([0, 0.1]),
        blur=st.sampled_from([0, 1.5]),
        cubic=st.booleans(),
    ),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
)
def test_a_batch_is_what_its_tiles_are_one_by_one(seed: int, kinds: Augmentation, dtype: str) -> None:
    stored = tiles(3, dtype)
    draws = [draw(kinds, len(FIELDS.grids), seed, 0, k) for k in range(3)]
    intensity = torch.tensor([tile.intensity for tile in stored])
    got = augment_batch(draws, *batch(stored), FIELDS, MARGIN, intensity=intensity, cubic=kinds.cubic)
    assert [a.dtype for a in got] == [torch.float32, torch.uint8, torch.float32]
    for k, tile in enumerate(stored):
        image, labels, weights = apply(draws[k], tile, FIELDS, SIDE, kinds.cubic)
        np.testing.assert_allclose(got[0][k], image, atol=1e-5)
        np.testing.assert_array_equal(got[1][k], labels)
        np.testing.assert_allclose(got[2][k], weights, atol=1e-5)


@settings(deadline=None)
@given(seed=st.integers(0, 1000), degrees=st.floats(-180, 180), shift=st.floats(-9, 9), order=st.sampled_from([1, 3]))
def test_it_is_scipys_at_the_composed_coordinates(seed: int, degrees: float, shift: float, order: int) -> None:
    (tile,) = tiles(1, "float32")
    grid = draw_grids(seed, [0], (4, 3), 4.0)[0]
    transform = Transform(turn(degrees, 1.1), (shift, -shift), grid)
    moved, _, weighed = (tensor.numpy() for tensor in warp_batch(*batch([tile]), [transform], MARGIN, order))
    at = reference.places(SIDE, transform.matrix, transform.shift, displacement_field(grid, (SIDE, SIDE))) + MARGIN
    for c in range(2):
        expected = reference.warp_cubic(tile.image[c], at) if order == 3 else reference.warp(tile.image[c], at, 1)
        np.testing.assert_allclose(moved[0, c], expected, atol=2e-3)
    at = at[:, INSET : INSET + OUTPUT, INSET : INSET + OUTPUT] - INSET
    last = OUTPUT + 2 * MARGIN - 1
    inside = ((at >= 1e-6) & (at <= last - 1e-6)).all(axis=0)
    inside &= tile.weights[tuple(np.clip(np.floor(at + 0.5).astype(int), 0, last))] > 0
    np.testing.assert_allclose(weighed[0][inside], reference.warp(tile.weights, at, 1)[inside], atol=1e-5)
    assert not weighed[0][((at < -1e-6) | (at > last + 1e-6)).any(axis=0)].any()


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("quarters", range(4))
def test_standing_still_and_quarter_turns_are_exact(quarters: int, order: int) -> None:
    matrix = np.linalg.matrix_power(np.array([[0, 1], [-1, 0]]), quarters).astype(float)
    stored = batch(tiles(2))
    for got, tensor in zip(warp_batch(*stored, [Transform(matrix)] * 2, MARGIN, order), stored, strict=True):
        assert torch.equal(got, torch.rot90(middle(tensor), quarters, (-2, -1)).to(got.dtype))


def test_a_whole_shift_is_exact_and_a_tie_goes_to_the_larger_coordinate() -> None:
    stored = batch(tiles(2))
    still = Transform()
    for got, tensor in zip(warp_batch(*stored, [still, Transform(shift=(3.0, -7.0))], MARGIN), stored, strict=True):
        assert torch.equal(got[0], middle(tensor[0]).to(got.dtype))
        assert torch.equal(got[1], middle(torch.roll(tensor[1], (-3, 7), (-2, -1))).to(got.dtype))
    labels = warp_batch(*stored, [Transform(shift=(0.5, -0.5))] * 2, MARGIN)[1]
    assert torch.equal(labels, middle(torch.roll(stored[1], -1, -2)))


def test_it_serves_tensors_that_know_no_store_or_margin() -> None:
    """As in somebody's own loop: no margin, so what lies outside counts nothing."""
    image, labels = torch.rand(2, 3, 40, 40), torch.arange(2 * 40 * 40).reshape(2, 40, 40)
    fields = StoredFields(draw_grids(0, range(4), (3, 3), 5.0), {})
    draws = [draw(Augmentation(rotation=20), len(fields.grids), 0, 0, k) for k in range(2)]
    moved, chosen, weights = augment_batch(draws, image, labels, torch.ones(2, 40, 40), fields)
    assert moved.shape == image.shape
    assert chosen.dtype == torch.int64
    assert set(weights.flatten().tolist()) == {0.0, 1.0}
    assert set(chosen[1].flatten().tolist()) - {0} < set(range(1600, 3200))
    replayed = augment_batch(
        [Draw(**json.loads(json.dumps(asdict(d)))) for d in draws], image, labels, torch.ones(2, 40, 40), fields
    )
    assert all(torch.equal(a, b) for a, b in zip(replayed, (moved, chosen, weights), strict=True))


def test_what_does_not_go_together_is_refused() -> None:
    image, labels, weights = batch(tiles(2))
    with pytest.raises(ValueError, match="1 draws, 2 images, 2 labels and 2 weights: one of each is needed"):
        augment_batch([Draw()], image, labels, weights, FIELDS, MARGIN)
    with pytest.raises(ValueError, match=r"order is 2, not one of \(1, 3\)"):
        warp_batch(image, labels, weights, [Transform()] * 2, MARGIN, 2)
    with pytest.raises(ValueError, match="0 draws, 0 images, 0 labels and 0 weights"):
        augment_batch([], image[:0], labels[:0], weights[:0], FIELDS, MARGIN)
    with pytest.raises(ValueError, match=r"intensity has shape \(2,\), not \(2, 2\)"):
        augment_batch([Draw()] * 2, image, labels, weights, intensity=torch.tensor([0.0, 1.0]))
    with pytest.raises(ValueError, match=r"labels of shape \(2, 36, 36\) and weights of shape \(2, 34, 34\)"):
        augment_batch([Draw()] * 2, image, labels, weights[:, 1:-1, 1:-1], FIELDS, MARGIN)
    with pytest.raises(ValueError, match=r"one has shape \(2, 36, 35\)"):
        augment_batch([Draw()] * 2, image, labels[..., 1:], weights, FIELDS, MARGIN)
    with pytest.raises(ValueError, match=r"one has shape \(2, 2, 76, 76\)"):
        augment_batch([Draw()] * 2, image, labels, weights, FIELDS, 39)


@pytest.mark.parametrize("interpolation", ["bspline", "bspline-approx"])
def test_a_batch_may_hold_tiles_with_and_without_a_field(interpolation: str) -> None:
    stored = [scaled(tile) for tile in tiles(3)]
    fields = StoredFields(draw_grids(0, range(3), (4, 5), 3.0), interpolation=interpolation)
    draws = [Draw(), Draw(field=2, turn=3), Draw(angle=90)]
    got = augment_batch(draws, *batch(stored), fields, MARGIN)
    for k, tile in enumerate(stored):
        expected = apply(draws[k], tile, fields, SIDE)
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a[k].numpy(), np.asarray(b), atol=1e-5)
    edge = torch.ones(1, 20, 20)
    for degrees in (90, 180, -90):
        assert augment_batch([Draw(angle=degrees)], torch.ones(1, 1, 60, 60), edge.byte(), edge)[2].all()


def test_what_the_document_shows_runs() -> None:
    page = (Path(__file__).parents[3] / "docs/augmentation.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    given = {"image": torch.rand(2, 1, 60, 60), "labels": torch.ones(2, 60, 60, dtype=torch.int32)}
    names: dict[str, Any] = {**given, "weights": torch.ones(2, 60, 60), "epoch": 3, "indices": [5, 6]}
    exec(code, names)
    assert names["image"].shape == (2, 1, 60, 60)
    assert not torch.equal(names["image"], given["image"])
    assert set(names["labels"].flatten().tolist()) == {0, 1}


def test_hot_pixels_are_clipped_as_on_the_cpu() -> None:
    stored = tiles(2, "uint16")
    for k, tile in enumerate(stored):
        tile.image[:, 30 + k, 40] = 65535
        tile.image[:, 35, 41 + k] = 0
    stored[1] = replace(stored[1], intensity=(150.0, 200.0))
    intensity, draws = torch.tensor([tile.intensity for tile in stored]), [Draw(turn=3), Draw(slope=1.1, white=1.04)]
    image = augment_batch(draws, *batch(stored), FIELDS, MARGIN, intensity=intensity)[0]
    for k, tile in enumerate(stored):
        np.testing.assert_allclose(image[k], apply(draws[k], tile, FIELDS, SIDE)[0], atol=1e-5)
    assert image[0].max() == 1.5


def test_a_blur_wider_than_the_tile_is_mirrored_as_often_as_it_takes() -> None:
    tile = scaled(*tiles(1))
    wide = Draw(blur=30.0)
    image = augment_batch([wide], *batch([tile]), FIELDS, MARGIN)[0][0]
    np.testing.assert_allclose(image, apply(wide, tile, FIELDS, SIDE)[0], rtol=1e-4)
