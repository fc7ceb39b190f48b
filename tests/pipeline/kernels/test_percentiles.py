"""The robust range: exact for every blocking, and unchanged by hot pixels."""

from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.synthetic import cell_image, cell_labels
from unetprep.kernels.percentiles import TRIMMED, RobustRange, intensity_limits, robust_range

DTYPES = ["bool", "uint8", "int8", "uint16", "int16", ">u2", "int32", "uint32", "float16", "float32", ">f4", "float64"]
LABELS = cell_labels((256, 300), 40)
IMAGE = cell_image(LABELS).astype(np.uint16) * 16


def reference(image: NDArray[Any]) -> tuple[float, float, int, int]:
    """The slow, obvious definition, on the whole image (..., y, x)."""
    values = image.reshape(-1, *image.shape[-2:])
    if image.dtype.kind == "f" or image.dtype.itemsize > 2:
        values = values.astype(np.float32)
    odd = [(0, n % 2) for n in values.shape[1:]]
    padded = np.pad(values, [(0, 0), *odd], mode="edge")
    squares = np.stack([padded[:, y::2, x::2] for y in (0, 1) for x in (0, 1)], axis=-1)
    ordered = np.sort(squares, axis=-1)
    percent = 100 * TRIMMED[0] / TRIMMED[1]
    low = np.percentile(ordered[..., 2], percent, method="lower")
    high = np.percentile(ordered[..., 1], 100 - percent, method="higher")
    if high <= low:
        low, high = values.min(), values.max()
    return float(low), float(high), int((values < low).sum()), int((values > high).sum())


def noise(dtype: str, shape: tuple[int, ...], seed: int = 0) -> NDArray[Any]:
    values = np.random.default_rng(seed).gamma(2, 20, shape) - 15
    least, greatest = (0, 255) if np.dtype(dtype).kind in "bu" else (-128, 127)
    return values.clip(least, greatest).astype(dtype)


def whole(image: NDArray[Any]) -> RobustRange:
    return robust_range(lambda: [image], image.dtype)


@pytest.mark.parametrize("shape", [(2, 201, 333), (1, 1), (7, 1), (1, 900), (514, 515)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_it_is_what_its_definition_says(dtype: str, shape: tuple[int, ...]) -> None:
    image = noise(dtype, shape)
    found = whole(image)
    assert (found.low, found.high, found.num_below, found.num_above) == reference(image)
    assert (found.least, found.greatest) == (float(np.float32(image.min())), float(np.float32(image.max())))
    assert found.num_pixels == image.size


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 1000),
    sides=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    cuts=st.lists(st.integers(1, 29), max_size=3),
    dtype=st.sampled_from(["uint8", "int16", "float32"]),
)
def test_blocks_do_not_matter(seed: int, sides: tuple[int, int], cuts: list[int], dtype: str) -> None:
    image = noise(dtype, sides, seed)
    edges = [0, *sorted({2 * cut for cut in cuts}), 60]
    boxes = [np.s_[a:b, c:d] for (a, b), (c, d) in product(pairwise(edges), repeat=2)]
    blocks = [image[box] for box in reversed(boxes) if image[box].size]
    assert robust_range(lambda: blocks, image.dtype) == whole(image)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("number", [1, 10, 100])
def test_isolated_hot_and_dead_pixels_do_not_change_it(number: int, dtype: str) -> None:
    image = IMAGE.astype(dtype)
    clean, places = whole(image), np.random.default_rng(number).choice(image.size, number, replace=False)
    for value in (0, 65535):
        faulty = image.copy()
        faulty.reshape(-1)[places] = value
        found = whole(faulty)
        tolerance = 0.02 * (clean.high - clean.low)
        assert abs(found.low - clean.low) <= tolerance
        assert abs(found.high - clean.high) <= tolerance
        assert (found.least, found.greatest)[value > 0] == value


def test_a_hot_row_and_column_do_not_change_it() -> None:
    faulty = IMAGE.copy()
    faulty[7], faulty[:, 90] = 65535, 65535
    assert whole(faulty).high <= whole(IMAGE).high * 1.01


@pytest.mark.parametrize("share", [0.0005, 0.002])
def test_sparse_cells_are_not_lost_in_the_background(share: float) -> None:
    """The 99.9th percentile of all pixels lies in the background where cells cover half a thousandth."""
    rng = np.random.default_rng(0)
    image = rng.normal(100, 5, (1024, 1024))
    for y, x in rng.integers(10, 1000, (round(share * 2**20 / 100), 2)):
        image[y : y + 10, x : x + 10] += 1000
    found = whole(image.astype(np.uint16))
    assert found.high > 900
    assert share > 0.001 or np.percentile(image, 99.9) < 150


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_constant_image_and_one_of_isolated_pixels(dtype: str) -> None:
    image = np.full((50, 60), 7, dtype)
    assert (whole(image).low, whole(image).high) == (7, 7)
    assert intensity_limits("percentile", dtype, whole(image)) == (7, 8)
    image[10, 10] = 200
    assert (whole(image).low, whole(image).high) == (7, 200)


def test_a_picture_of_more_bits_has_the_range_of_more_bits() -> None:
    image = cell_image(LABELS)
    seen, wide = whole(image), whole(image.astype(np.uint16) * 257)
    assert (wide.low, wide.high) == (257 * seen.low, 257 * seen.high)


def test_the_rules() -> None:
    seen = RobustRange(10.0, 20.0, 0.0, 500.0, 1, 2, 100)
    assert intensity_limits("percentile", "uint8", seen) == (10, 20)
    assert intensity_limits("minmax", "uint8", seen) == (0, 500)
    assert intensity_limits("dtype", "int16", seen) == (-32768, 32767)
    assert intensity_limits("auto", "uint8", seen) == (0, 255)
    assert intensity_limits("auto", "uint16", seen) == intensity_limits("auto", "float32", seen) == (10, 20)
    with pytest.raises(ValueError, match="Invalid integer data type"):
        intensity_limits("dtype", "float32", seen)
