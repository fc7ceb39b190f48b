from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import reference
from unetprep import displacement_field
from unetprep.kernels.grids import draw_grids
from unetprep.kernels.warp import warp_tile

SIDE, OUTPUT, MARGIN = 60, 20, 8
INSET = (SIDE - OUTPUT) // 2
STILL = np.zeros((2, SIDE, SIDE))
TURNS = [np.array(t, float) for t in ([[1, 0], [0, 1]], [[0, 1], [-1, 0]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]])]

Tile = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]


@pytest.fixture
def tile() -> Tile:
    rng = np.random.default_rng(3)
    outer, inner = SIDE + 2 * MARGIN, OUTPUT + 2 * MARGIN
    image = rng.integers(0, 256, (2, outer, outer), dtype=np.uint8)
    return image, rng.integers(0, 5, (inner, inner), dtype=np.uint8) * 50, rng.random((inner, inner), np.float32)


def middle(array: Any) -> Any:
    return array[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


def test_standing_still_gives_the_middle_bit_for_bit(tile: Tile) -> None:
    for got, stored in zip(warp_tile(*tile, STILL, np.eye(2)), tile, strict=True):
        np.testing.assert_array_equal(got, middle(stored))


@pytest.mark.parametrize("quarters", range(4))
def test_quarter_turns_are_numpys(tile: Tile, quarters: int) -> None:
    for got, stored in zip(warp_tile(*tile, STILL, TURNS[quarters]), tile, strict=True):
        np.testing.assert_array_equal(got, np.rot90(middle(stored), quarters, axes=(-2, -1)))


def test_a_whole_shift_moves_pixels_in_from_the_margin(tile: Tile) -> None:
    field = np.stack([np.full((SIDE, SIDE), 3.0), np.full((SIDE, SIDE), -7.0)])
    stored: Any
    for got, stored in zip(warp_tile(*tile, field, np.eye(2)), tile, strict=True):
        np.testing.assert_array_equal(got, middle(np.roll(stored, (-3, 7), axis=(-2, -1))))


def test_equals_scipy_under_a_real_field(tile: Tile) -> None:
    field = displacement_field(draw_grids(0, range(1), (3, 3), 2.0)[0], (SIDE, SIDE))
    image, target, weights = warp_tile(*tile, field, TURNS[1])
    for c in range(2):
        np.testing.assert_allclose(image[c], reference.warp(tile[0][c], field, TURNS[1], MARGIN, order=1), atol=1e-4)
    cut = np.s_[:, INSET : INSET + OUTPUT, INSET : INSET + OUTPUT]
    inner = field[cut]
    np.testing.assert_allclose(weights, reference.warp(tile[2], inner, TURNS[1], MARGIN, order=1), atol=1e-6)
    np.testing.assert_array_equal(target, reference.warp(tile[1], inner, TURNS[1], MARGIN, order=0).round())


def test_labels_are_never_invented(tile: Tile) -> None:
    for k in range(20):
        field = displacement_field(draw_grids(7, range(k, k + 1), (3, 3), 4.0)[0], (SIDE, SIDE))
        assert set(np.unique(warp_tile(*tile, field, np.eye(2))[1])) <= set(np.unique(tile[1])) | {0}


def test_all_three_move_together() -> None:
    """With the coordinates themselves as image, target and weights, each output names the pixel that it came from."""
    inner, outer = OUTPUT + 2 * MARGIN, SIDE + 2 * MARGIN
    rows = np.arange(outer, dtype=np.float32)[:, None] * np.ones(outer, np.float32)
    inset = (outer - inner) // 2
    target = rows[inset:-inset, inset:-inset]
    field = displacement_field(draw_grids(1, range(1), (3, 3), 2.0)[0], (SIDE, SIDE))
    image, moved, weights = warp_tile(rows[None], target.astype(np.uint8), target.copy(), field, np.eye(2))
    output = image[0, INSET:-INSET, INSET:-INSET]
    np.testing.assert_allclose(output, weights, atol=1e-4)
    assert abs(output - moved).max() <= 0.5 + 1e-4


def test_beyond_what_is_stored_the_weight_is_zero(tile: Tile) -> None:
    field = np.stack([np.full((SIDE, SIDE), float(OUTPUT + MARGIN)), np.zeros((SIDE, SIDE))])
    image, target, weights = warp_tile(*tile, field, np.eye(2))
    assert not weights.any()
    assert not target.any()
    np.testing.assert_allclose(image[0], reference.warp(tile[0][0], field, np.eye(2), MARGIN, order=1), atol=1e-4)
