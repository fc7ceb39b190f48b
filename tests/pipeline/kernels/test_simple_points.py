"""Simple points and warping by flipping them, against their definition with scipy's connected components."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from tests.challenge_reference import is_simple, mismatch, warp
from unetprep.kernels.simple_points import RING, SIMPLE, flip_simple_points
from unetprep.kernels.topology_mismatches import Mismatch, classify_mismatches

shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
pairs = shapes.flatmap(
    lambda shape: st.tuples(
        hnp.arrays(bool, shape), hnp.arrays(np.float32, shape, elements=st.integers(0, 4).map(lambda n: n / 4))
    )
)


def test_the_table_is_the_definition_for_every_ring() -> None:
    for ring in range(256):
        pixels = np.zeros((3, 3), bool)
        for k, (y, x) in enumerate(RING):
            pixels[1 + y, 1 + x] = ring >> k & 1
        assert SIMPLE[ring] == is_simple(pixels), pixels
    assert SIMPLE.sum() == 116


def check(source: NDArray[np.bool_], proposal: NDArray[np.float32], threshold: float) -> dict[str, int]:
    """Compare warping and classes; returns the number of pixels of each class."""
    objects = ndimage.label(np.pad(source, 1).T)[0].astype(np.int32)
    probability = np.pad(proposal.astype(np.float64), 1).T
    different = np.flatnonzero((objects > 0) != (probability > threshold))
    certainty = np.abs(probability.ravel()[different] - threshold).astype(np.float32)
    left = flip_simple_points(objects, different[np.argsort(-certainty, kind="stable")])
    warped, expected = warp(source, proposal, threshold)
    np.testing.assert_array_equal(objects.T > 0, warped)
    x, y = np.unravel_index(left, objects.shape)
    assert sorted(zip(y.tolist(), x.tolist(), strict=True)) == expected
    parts = ndimage.label(objects)[0]
    assert len(np.unique(np.stack([parts, objects]).reshape(2, -1), axis=1).T) == len(np.unique(parts))
    names = [Mismatch(int(c)).name for c in classify_mismatches(objects, left)]
    assert names == [mismatch(warped, *place) for place in zip(y.tolist(), x.tolist(), strict=True)]
    return {name: names.count(name) for name in set(names)}


@settings(max_examples=40)
@given(pairs, st.sampled_from([0.0, 0.1, 0.5]))
def test_warping_and_classes_equal_the_definition(
    pair: tuple[NDArray[np.bool_], NDArray[np.float32]], threshold: float
) -> None:
    check(*pair, threshold)


@pytest.mark.parametrize(("gaps", "most"), [(0.03, "SPLIT"), (0.95, "HOLE_ADDED")])
def test_warping_and_classes_of_blobs_larger_than_the_window_equal_the_definition(gaps: float, most: str) -> None:
    rng = np.random.default_rng(0)
    values = ndimage.gaussian_filter(rng.random((50, 60)), 4)
    source = values > np.quantile(values, 0.35)
    proposal = np.clip(source * 0.6 + 0.4 * rng.random(source.shape), 0, 1).astype(np.float32)
    proposal[:, ::7] *= rng.random(proposal[:, ::7].shape) < gaps  # walls
    assert most in check(source, proposal, 0.5)


@pytest.mark.parametrize(("side", "name"), [(21, "HOLE_DELETED"), (22, "SPLIT")])
def test_a_gap_in_a_ring_is_a_split_where_the_ring_does_not_close_within_the_window(side: int, name: str) -> None:
    source = np.zeros((26, 26), bool)
    source[2 : 2 + side, 2 : 2 + side] = True
    source[3 : 1 + side, 3 : 1 + side] = False
    proposal = source.astype(np.float32)
    proposal[2, 12] = 0  # the opposite side is side - 1 pixels away, and the window has a radius of 20
    assert check(source, proposal, 0.5) == {name: 1}


def test_the_six_classes() -> None:
    cell = np.zeros((9, 15), bool)
    cell[1:8, 1:7] = cell[1:8, 8:14] = True
    changed = cell.copy()
    changed[4, 7] = True  # joins both
    assert check(cell, changed.astype(np.float32), 0.5) == {"MERGE": 1}
    changed = cell.copy()
    changed[:, 3] = False  # divides the first
    assert check(cell, changed.astype(np.float32), 0.5) == {"SPLIT": 1}
    changed = cell.copy()
    changed[3, 3] = False
    assert check(cell, changed.astype(np.float32), 0.5) == {"HOLE_ADDED": 1}
    assert check(changed, cell.astype(np.float32), 0.5) == {"HOLE_DELETED": 1}
    less = cell & (np.arange(15) < 7)
    assert check(cell, less.astype(np.float32), 0.5) == {"OBJECT_DELETED": 1}
    assert check(less, cell.astype(np.float32), 0.5)["OBJECT_ADDED"] > 0


def test_a_gap_beside_another_object_is_a_split_even_in_a_ring() -> None:
    source = np.zeros((8, 8), bool)
    source[3:6, 2:5], source[4, 3] = True, False
    source[1:3, 5:7] = True  # touches the corner of the ring diagonally
    proposal = source.astype(np.float32)
    proposal[3, 4] = 0
    assert check(source, proposal, 0.5) == {"SPLIT": 1}
