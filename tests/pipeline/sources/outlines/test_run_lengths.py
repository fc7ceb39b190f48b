import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unetprep.sources.outlines.run_lengths import run_lengths
from unetprep.sources.outlines.shapes import RunLengths

masks = st.integers(1, 7).flatmap(
    lambda h: st.lists(st.lists(st.booleans(), min_size=h, max_size=h), min_size=1, max_size=9)
)


def counts_of(mask: NDArray[np.bool_]) -> list[int]:
    """Run lengths, one value after the other."""
    counts, value = [0], False
    for pixel in mask.T.ravel():
        if pixel != value:
            counts.append(0)
            value = bool(pixel)
        counts[-1] += 1
    return counts


@settings(deadline=None)
@given(masks)
def test_counts_give_the_mask_in_every_window(columns: list[list[bool]]) -> None:
    mask = np.array(columns).T
    found = run_lengths(counts_of(mask), *mask.shape)
    assert isinstance(found, RunLengths)
    height, width = mask.shape
    for top, left in np.ndindex(height, width):
        np.testing.assert_array_equal(found.fill((top, left, height, width)), mask[top:, left:])
        np.testing.assert_array_equal(found.fill((0, 0, top + 1, left + 1)), mask[: top + 1, : left + 1])
    top, left, bottom, right = found.bounds
    inside = np.zeros_like(mask)
    inside[top:bottom, left:right] = True
    assert not (mask & ~inside).any()


@settings(deadline=None)
@given(masks)
def test_compressed_counts_are_those_of_pycocotools(columns: list[list[bool]]) -> None:
    from pycocotools import mask as coco

    mask = np.array(columns).T
    text = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    found = run_lengths(text, *mask.shape)
    assert isinstance(found, RunLengths)
    np.testing.assert_array_equal(found.fill((0, 0, *mask.shape)), mask)


@pytest.mark.parametrize(
    ("counts", "problem"),
    [
        ([3, 4], "add up to 7"),
        ([3, 40], "not whole numbers from 0 to 12"),
        ([-3, 15], "not whole numbers"),
        ([3.5, 8.5], "not whole numbers"),
        ([True, 11], "not whole numbers"),
        (None, "not whole numbers"),
        ("oooooooooo0", "too many digits"),
        ("\x00", "hold '"),
        ("o", "end within a number"),
        ("", "add up to 0"),
    ],
)
def test_damaged_counts_are_said(counts: object, problem: str) -> None:
    found = run_lengths(counts, 3, 4)
    assert isinstance(found, str)
    assert problem in found
