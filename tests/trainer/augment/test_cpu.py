"""Augmentation: one draw for every array, coordinates as an image, labels never invented."""

import itertools
import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from unetprep import displacement_field
from unettrain.augment.cpu import apply
from unettrain.augment.draw import TURNS, Draw, draw
from unettrain.config import Augmentation
from unettrain.data.intensity import scale_intensity
from unettrain.data.opening import NO_FIELDS, StoredFields
from unettrain.data.tiles import StoredTile
from unettrain.errors import InvalidInput

TILE, OUTPUT, MARGIN = 60, 20, 8
FIELDS = StoredFields(np.random.default_rng(3).normal(0, 2, (6, 2, 3, 3)).astype(np.float32), {})


SPAN = 256.0  # the range of the tile below: a power of two, so that scaling is exact


def stored_tile(intensity: tuple[float, float] = (0.0, SPAN)) -> StoredTile:
    """A tile whose two channels are the coordinates y and x of its pixels, and whose target and weights follow them."""
    y, x = np.mgrid[: TILE + 2 * MARGIN, : TILE + 2 * MARGIN].astype(np.float32)
    cut = (TILE - OUTPUT) // 2
    inner = np.s_[cut : cut + OUTPUT + 2 * MARGIN, cut : cut + OUTPUT + 2 * MARGIN]
    target = np.where((y // 5 + x // 3) % 2 == 0, 7, 3).astype(np.uint8)[inner]
    return StoredTile(np.stack([y, x]), target, (2 * y + x)[inner], intensity)


def centre(array: NDArray[Any], side: int) -> NDArray[Any]:
    first = (array.shape[-1] - side) // 2
    return array[..., first : first + side, first : first + side]


def turned(array: NDArray[Any], quarters: int, mirrored: bool) -> NDArray[Any]:
    """By so many quarter turns, and mirrored in the diagonal."""
    result = np.rot90(array, quarters, (-2, -1))
    return result.swapaxes(-2, -1) if mirrored else result


def test_without_augmentation_it_is_the_centre_of_the_stored_tile() -> None:
    stored = stored_tile()
    image, target, weights = apply(Draw(), stored, NO_FIELDS, TILE)
    np.testing.assert_array_equal(image * SPAN, centre(stored.image, TILE))
    np.testing.assert_array_equal(target, centre(stored.target, OUTPUT))
    np.testing.assert_array_equal(weights, centre(stored.weights, OUTPUT))
    assert [a.dtype.name for a in (image, target, weights)] == ["float32", "uint8", "float32"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_intensities_are_scaled_before_the_gray_levels(dtype: type[np.number]) -> None:
    raw = np.full((1, TILE + 2 * MARGIN, TILE + 2 * MARGIN), 150, dtype)
    stored = StoredTile(raw, stored_tile().target, stored_tile().weights, (50.0, 250.0))
    assert apply(Draw(), stored, NO_FIELDS, TILE)[0].max() == 0.5
    dark = apply(Draw(black=-0.04, white=1.02), stored, NO_FIELDS, TILE)[0]
    np.testing.assert_allclose(dark, -0.04 + 0.5 * (1.02 + 0.04), rtol=1e-6)


def test_outliers_are_clipped_before_the_gray_levels() -> None:
    stored = stored_tile((0.0, 10.0))  # the coordinates reach 75
    image = apply(Draw(), stored, NO_FIELDS, TILE)[0]
    np.testing.assert_array_equal(image, np.minimum(centre(stored.image, TILE) / np.float32(10), 1.5))
    np.testing.assert_array_equal(image, scale_intensity(centre(stored.image, TILE), 0.0, 10.0))
    brighter = apply(Draw(white=2.0), stored, NO_FIELDS, TILE)[0]
    assert brighter.max() == 3.0
    below = apply(Draw(), stored_tile((60.0, 80.0)), NO_FIELDS, TILE)[0]
    assert below.min() == -0.5


@pytest.mark.parametrize("turn", range(8))
def test_the_turns_are_those_of_a_square_and_move_all_arrays_alike(turn: int) -> None:
    stored = stored_tile()
    moved: list[NDArray[Any]] = [*apply(Draw(turn=turn), stored, NO_FIELDS, TILE)]
    plain: list[NDArray[Any]] = [*apply(Draw(), stored, NO_FIELDS, TILE)]
    matching = [
        (quarters, mirrored)
        for quarters, mirrored in itertools.product(range(4), (False, True))
        if all(np.array_equal(turned(a, quarters, mirrored), b) for a, b in zip(plain, moved, strict=True))
    ]
    assert len(matching) == 1
    assert (turn == 0) is (matching == [(0, False)])
    assert all(not np.array_equal(a, b) for a, b in itertools.combinations(TURNS, 2))


@given(turn=st.integers(0, 7), field=st.integers(0, 5))
def test_image_target_and_weights_stay_aligned(turn: int, field: int) -> None:
    stored = stored_tile()
    image, target, weights = apply(Draw(field=field, turn=turn), stored, FIELDS, TILE)
    y, x = centre(image * SPAN, OUTPUT)  # where each output pixel came from, since the image holds its own coordinates
    cut = (TILE - OUTPUT) // 2
    inside = (np.minimum(y, x) >= cut) & (np.maximum(y, x) <= cut + OUTPUT + 2 * MARGIN - 1)
    np.testing.assert_allclose(weights[inside], (2 * y + x)[inside], atol=1e-3)
    clear = inside & (abs(y % 1 - 0.5) > 0.01) & (abs(x % 1 - 0.5) > 0.01)
    rows, columns = (np.round(a[clear]).astype(int) - cut for a in (y, x))
    np.testing.assert_array_equal(target[clear], stored.target[rows, columns])
    assert clear.mean() > 0.8
    assert set(np.unique(target)) <= {0, 3, 7}
    assert not target[weights > 0][target[weights > 0] == 0].size


def test_a_field_displaces_by_what_its_nodes_say() -> None:
    grids = np.zeros((1, 2, 3, 3), np.float32)
    grids[0, 0], grids[0, 1] = 2.0, -3.0
    image = apply(Draw(field=0), stored_tile(), StoredFields(grids, {}), TILE)[0]
    expected = centre(stored_tile().image, TILE) + np.array([2.0, -3.0])[:, None, None]
    np.testing.assert_allclose(image * SPAN, expected, atol=1e-3)


EVERYTHING = Augmentation(rotation=30, scale=1.25, shift=4, noise=0.1, blur=1.5)


def test_a_draw_that_was_written_out_does_the_same_again() -> None:
    choice = draw(EVERYTHING, len(FIELDS.grids), 1, 2, 3)
    again = Draw(**json.loads(json.dumps(asdict(choice))))
    assert again == choice
    for first, second in zip(*(apply(c, stored_tile(), FIELDS, TILE) for c in (choice, again)), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("cubic", [False, True])
def test_rotation_scale_and_shift_are_one_with_the_field(cubic: bool) -> None:
    """The channels are coordinates, so the image says where each pixel came from."""
    choice = Draw(field=2, turn=3, angle=4.0, scale=1.1, shift=(0.5, -1.5))
    image, *_ = apply(choice, stored_tile(), FIELDS, TILE, cubic)
    radians, about = np.radians(4.0), (TILE - 1) / 2
    rotation = np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    pixels = np.mgrid[:TILE, :TILE] - about
    places = np.einsum("ij,jyx->iyx", rotation @ TURNS[3] / 1.1, pixels) + about + np.array([0.5, -1.5])[:, None, None]
    places += displacement_field(FIELDS.grids[2], (TILE, TILE)) + MARGIN
    inside = ((places > 2) & (places < TILE + 2 * MARGIN - 3)).all(axis=0)
    assert inside.mean() > 0.9
    np.testing.assert_allclose(image[:, inside] * SPAN, places[:, inside], atol=1e-3)


def test_noise_is_a_function_of_seed_epoch_and_sample() -> None:
    def noise(*key: int) -> NDArray[np.float32]:
        return apply(Draw(noise=0.1, noise_key=key), stored_tile(), NO_FIELDS, TILE)[0] - plain  # type: ignore[arg-type]

    plain = apply(Draw(), stored_tile(), NO_FIELDS, TILE)[0]
    np.testing.assert_array_equal(noise(1, 2, 3), noise(1, 2, 3))
    assert not np.array_equal(noise(1, 2, 3), noise(1, 2, 4))
    assert noise(1, 2, 3).std() == pytest.approx(0.1, rel=0.03)


def test_blur_is_scipys_and_leaves_target_and_weights_alone() -> None:
    plain, blurred = (apply(Draw(turn=3, blur=b), stored_tile(), NO_FIELDS, TILE) for b in (0.0, 1.5))
    np.testing.assert_allclose(blurred[0], ndimage.gaussian_filter(plain[0], (0, 1.5, 1.5), mode="mirror"), rtol=1e-5)
    for a, b in zip(plain[1:], blurred[1:], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"field": -1}, "field is -1\n  allowed: the number of a field, from 0 on, or None"),
        ({"turn": 8}, "turn is 8\n  allowed: 0 to 7"),
        ({"scale": 0.0}, "scale is 0.0"),
        ({"shift": (0.0, math.nan)}, "shift is (0.0, nan)\n  allowed: finite numbers"),
        ({"angle": math.inf}, "angle is inf"),
        ({"noise": -1.0}, "noise -1.0"),
    ],
)
def test_a_draw_of_ones_own_is_checked(chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Draw(**chosen)
    assert message in str(caught.value)
    with pytest.raises(InvalidInput, match="field is 6\n  allowed: one of the 6 fields"):
        apply(Draw(field=6), stored_tile(), FIELDS, TILE)
