"""One pass over image, labels and weights, held against scipy in float64."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests import reference
from unetprep import displacement_field
from unetprep.kernels.random_fields import draw_grids
from unetprep.kernels.warp import Transform, warp_tile

SIDE, OUTPUT, MARGIN = 60, 20, 8
INSET = (SIDE - OUTPUT) // 2
INNER = np.s_[:, INSET : INSET + OUTPUT, INSET : INSET + OUTPUT]
TURNS = [np.array(t, float) for t in ([[1, 0], [0, 1]], [[0, 1], [-1, 0]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]])]

Tile = tuple[NDArray[Any], NDArray[Any], NDArray[np.float32]]


def make_tile(dtype: str = "uint8") -> Tile:
    rng = np.random.default_rng(3)
    outer, inner = SIDE + 2 * MARGIN, OUTPUT + 2 * MARGIN
    image = rng.integers(0, 256, (2, outer, outer)).astype(dtype)
    return image, rng.integers(0, 5, (inner, inner), dtype=np.uint8) * 50, rng.random((inner, inner), np.float32)


@pytest.fixture
def tile() -> Tile:
    return make_tile()


def middle(array: Any) -> Any:
    return array[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


def turned(degrees: float, scale: float = 1.0) -> NDArray[np.float64]:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]]) / scale


def grid_of(seed: int, sigma_px: float = 2.0) -> NDArray[np.float32]:
    (grid,) = draw_grids(seed, [0], (3, 3), sigma_px)
    return np.asarray(grid)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_standing_still_gives_the_middle_bit_for_bit(dtype: str, order: int) -> None:
    tile = make_tile(dtype)
    for transform in (Transform(), Transform(grid=np.zeros((2, 3, 3), np.float32))):
        for got, stored in zip(warp_tile(*tile, transform, SIDE, order), tile, strict=True):
            np.testing.assert_array_equal(got, middle(stored))


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("quarters", range(4))
def test_quarter_turns_are_numpys(tile: Tile, quarters: int, order: int) -> None:
    for got, stored in zip(warp_tile(*tile, Transform(TURNS[quarters]), SIDE, order), tile, strict=True):
        np.testing.assert_array_equal(got, np.rot90(middle(stored), quarters, axes=(-2, -1)))


@pytest.mark.parametrize("degrees", [90, 180, -90, 270])
@pytest.mark.parametrize("margin", [0, MARGIN])
def test_an_angle_of_whole_quarters_is_exact_up_to_the_last_row(tile: Tile, degrees: int, margin: int) -> None:
    """Its cosine is 6e-17, so coordinates are a little beyond the border."""
    image, labels, weights = tile if margin else map(middle, tile)
    got_all = warp_tile(image, labels, weights, Transform(turned(degrees)), SIDE)
    for got, stored in zip(got_all, tile, strict=True):
        np.testing.assert_array_equal(got, np.rot90(middle(stored), -degrees // 90, axes=(-2, -1)))


def test_without_a_field_no_interpolation_is_asked(tile: Tile) -> None:
    plain, approx = (
        warp_tile(*tile, Transform(TURNS[1], interpolation=i), SIDE) for i in ("bspline", "bspline-approx")
    )
    for one, other in zip(plain, approx, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("by", ["shift", "grid"])
def test_a_whole_shift_moves_pixels_in_from_the_margin(tile: Tile, by: str) -> None:
    grid = np.stack([np.full((1, 1), 3, np.float32), np.full((1, 1), -7, np.float32)])
    transform = Transform(shift=(3.0, -7.0)) if by == "shift" else Transform(grid=grid)
    stored: Any
    for got, stored in zip(warp_tile(*tile, transform, SIDE), tile, strict=True):
        np.testing.assert_array_equal(got, middle(np.roll(stored, (-3, 7), axis=(-2, -1))))


@given(
    seed=st.integers(0, 1000),
    degrees=st.floats(-180, 180),
    scale=st.floats(0.8, 1.25),
    shift=st.tuples(st.floats(-9, 9), st.floats(-9, 9)),
    interpolation=st.sampled_from(["bspline", "bspline-approx"]),
)
def test_all_at_once_is_scipys_at_the_composed_coordinates(
    seed: int, degrees: float, scale: float, shift: tuple[float, float], interpolation: str
) -> None:
    image, labels, weights = make_tile()
    grid = draw_grids(seed, [0], (4, 4), 4.0)[0]
    transform = Transform(turned(degrees, scale), shift, grid, interpolation)
    at = reference.places(SIDE, transform.matrix, shift, displacement_field(grid, (SIDE, SIDE), interpolation))
    np.testing.assert_allclose(transform.coordinates(SIDE), at, atol=1e-10)
    moved, chosen, weighed = warp_tile(image, labels, weights, transform, SIDE)
    cubic = warp_tile(image, labels, weights, transform, SIDE, order=3)[0]
    for c in range(2):
        np.testing.assert_allclose(moved[c], reference.warp(image[c], at + MARGIN, 1), atol=2e-3)
        np.testing.assert_allclose(cubic[c], reference.warp_cubic(image[c], at + MARGIN), atol=2e-3)
    inner = at[INNER] + MARGIN - INSET
    last = OUTPUT + 2 * MARGIN - 1
    inside = ((inner >= 1e-6) & (inner <= last - 1e-6)).all(axis=0)
    np.testing.assert_allclose(weighed[inside], reference.warp(weights, inner, 1)[inside], atol=1e-5)
    assert not weighed[((inner < -1e-6) | (inner > last + 1e-6)).any(axis=0)].any()
    clear = inside & (abs(inner % 1 - 0.5) > 1e-6).all(axis=0)
    nearest = np.floor(inner + 0.5).astype(int)
    np.testing.assert_array_equal(chosen[clear], labels[nearest[0][clear], nearest[1][clear]])


def test_a_tie_between_labels_goes_to_the_larger_coordinate(tile: Tile) -> None:
    labels = warp_tile(*tile, Transform(shift=(0.5, -0.5)), SIDE)[1]
    np.testing.assert_array_equal(labels, middle(np.roll(tile[1], -1, axis=0)))


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_labels_are_never_invented(tile: Tile, dtype: str) -> None:
    image, labels, weights = tile
    for k in range(20):
        transform = Transform(turned(10 * k), grid=grid_of(k, 4.0))
        moved = warp_tile(image, labels.astype(dtype), weights, transform, SIDE)[1]
        assert moved.dtype == dtype
        assert set(np.unique(moved)) <= set(np.unique(labels)) | {0}


def test_all_three_move_together() -> None:
    """With the coordinates themselves as image, labels and weights, each output names the pixel that it came from."""
    inner, outer = OUTPUT + 2 * MARGIN, SIDE + 2 * MARGIN
    rows = np.arange(outer, dtype=np.float32)[:, None] * np.ones(outer, np.float32)
    inset = (outer - inner) // 2
    labels = rows[inset:-inset, inset:-inset]
    transform = Transform(turned(3), (0.3, 0.1), grid_of(1))
    image, moved, weights = warp_tile(rows[None], labels.astype(np.float32), labels.copy(), transform, SIDE)
    output = image[0, INSET:-INSET, INSET:-INSET]
    np.testing.assert_allclose(output, weights, atol=1e-4)
    assert abs(output - moved.astype(np.float32)).max() <= 0.5 + 1e-4


def test_beyond_what_is_stored_the_weight_is_zero(tile: Tile) -> None:
    transform = Transform(shift=(float(OUTPUT + MARGIN), 0.0))
    image, labels, weights = warp_tile(*tile, transform, SIDE)
    assert not weights.any()
    assert not labels.any()
    at = transform.coordinates(SIDE) + MARGIN
    np.testing.assert_allclose(image[0], reference.warp(tile[0][0], at, 1), atol=1e-4)


def test_what_counts_for_nothing_gets_no_weight_from_its_neighbours(tile: Tile) -> None:
    image, labels, weights = tile
    weights[:] = 3
    weights[labels == 50] = 0
    for k in range(10):
        _, moved, weighed = warp_tile(image, labels, weights, Transform(turned(17 * k), grid=grid_of(k)), SIDE)
        assert not weighed[moved == 50].any()
        assert (weighed[(moved != 50) & (moved != 0)] > 0).all()


def test_an_unknown_order_is_refused(tile: Tile) -> None:
    with pytest.raises(ValueError, match=r"order is 2, not one of \(1, 3\)"):
        warp_tile(*tile, Transform(), SIDE, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i, t, w: (i[:, 1:], t, w), r"one has shape \(2, 75, 76\)"),
        (lambda i, t, w: (i[:, 1:, 1:], t, w), r"one has shape \(2, 75, 75\)"),
        (lambda i, t, w: (i[:, :40, :40], t, w), r"one has shape \(2, 40, 40\)"),
        (lambda i, t, w: (i, t[1:], w), r"one has shape \(35, 36\)"),
        (lambda i, t, w: (i, t[:15, :15], w), r"squares of 16 to 76 pixels.*one has shape \(15, 15\)"),
        (lambda i, t, w: (i, np.zeros((78, 78), np.uint8), w), r"one has shape \(78, 78\)"),
        (lambda i, t, w: (i, t, w[1:, 1:]), r"one has shape \(35, 35\)"),
        (lambda i, t, w: (i.astype(bool), t, w), "the image is of bool"),
        (lambda i, t, w: (i.astype(np.float16), t, w), "the image is of float16"),
    ],
)
def test_arrays_that_are_no_squares_around_a_tile_are_refused(tile: Tile, change: Any, message: str) -> None:
    image, labels, weights = change(*tile)
    with pytest.raises(ValueError, match=message):
        warp_tile(image, labels, weights, Transform(), SIDE)


@pytest.mark.parametrize(
    "transform",
    [
        Transform(shift=(1e6, 0.0)),
        Transform(np.eye(2) * 1e9),
        Transform(np.full((2, 2), np.nan)),
        Transform(grid=np.full((2, 3, 3), np.inf, np.float32)),
        Transform(grid=np.full((2, 3, 3), 1e6, np.float32)),
    ],
)
def test_what_comes_from_nowhere_near_is_refused(tile: Tile, transform: Transform) -> None:
    with pytest.raises(ValueError, match=r"a transform takes pixels from up to .* pixels away, not 524288"):
        warp_tile(*tile, transform, SIDE)
