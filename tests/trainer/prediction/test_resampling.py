"""Resampling: means of pixels, the same whatever part is asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unettrain.prediction.resampling import Axis, Resampled, resample

IMAGE = np.random.default_rng(0).integers(0, 255, (2, 3, 40, 30)).astype(np.uint8)


def whole(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixel by pixel: the mean of all pixels, weighted by a triangle around the place of the new one."""
    made = np.zeros((*image.shape[:-2], *size))
    for y, x in np.ndindex(*size):
        weights = []
        for at, old, new in ((y, image.shape[-2], size[0]), (x, image.shape[-1], size[1])):
            reach = max(1, old / new)
            weight = np.maximum(0, 1 - abs(np.arange(old) - ((at + 0.5) * old / new - 0.5)) / reach)
            weights.append(weight / weight.sum())
        made[..., y, x] = np.einsum("...yx,y,x->...", image.astype(float), *weights)
    return made


@pytest.mark.parametrize("size", [(40, 30), (80, 61), (13, 9), (1, 1), (57, 8)])
def test_a_pixel_is_the_weighted_mean_of_those_around_it(size: tuple[int, int]) -> None:
    found = resample(IMAGE, Axis(40, size[0], 0, size[0]), Axis(30, size[1], 0, size[1]))
    np.testing.assert_allclose(found, whole(IMAGE, size), rtol=2e-5)
    if size == (40, 30):
        np.testing.assert_array_equal(found, IMAGE)


@given(st.integers(1, 90), st.integers(1, 70), st.data())
def test_every_part_is_that_of_the_whole(height: int, width: int, data: st.DataObject) -> None:
    image = Resampled(IMAGE, (height, width))
    assert image.shape == (2, 3, height, width)
    everything = image[slice(None), 1, slice(None), slice(None)]
    (y0, y1), (x0, x1) = (
        sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))) for n in (height, width)
    )
    part = image[slice(1, 2), 1, slice(y0, y1), slice(x0, x1)]
    np.testing.assert_allclose(part, everything[1:2, y0:y1, x0:x1], rtol=1e-4, atol=1e-3)
