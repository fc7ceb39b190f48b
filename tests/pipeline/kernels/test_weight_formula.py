"""Terms of the weight map's formula."""

import math

import numpy as np

from unetprep.kernels.weight_formula import Gaussian


def test_a_gaussian_reaches_as_far_as_it_moves_a_float32() -> None:
    assert Gaussian(10, 5).reach == 31
    for height, sigma in [(10, 5), (50, 6), (1, 2.5), (1e-3, 40)]:
        reach = Gaussian(height, sigma).reach
        assert height * math.exp(-(reach**2) / (2 * sigma**2)) <= np.finfo(np.float32).epsneg
        assert height * math.exp(-((reach - 1) ** 2) / (2 * sigma**2)) > np.finfo(np.float32).epsneg
    assert Gaussian(0, 5).reach == 0
