"""Terms of the weight map's formula."""

import math
from typing import Any

import numpy as np
import pytest

from unetprep.kernels.weight_formula import Gaussian
from unetprep.kernels.weights import weight_map


def test_a_gaussian_reaches_as_far_as_it_moves_a_float32() -> None:
    assert Gaussian(10, 5).reach == 31
    for height, sigma in [(10, 5), (50, 6), (1, 2.5), (1e-3, 40)]:
        reach = Gaussian(height, sigma).reach
        assert height * math.exp(-(reach**2) / (2 * sigma**2)) <= np.finfo(np.float32).epsneg
        assert height * math.exp(-((reach - 1) ** 2) / (2 * sigma**2)) > np.finfo(np.float32).epsneg
    assert Gaussian(0, 5).reach == 0


@pytest.mark.parametrize(
    ("formula", "constants"),
    [
        ("paper", {"w0": -1.0}),
        ("paper", {"sigma": 0.0}),
        ("paper", {"sigma": float("nan")}),
        ("paper", {"w0": "10"}),
        ("falk2019", {"background_weight": 1.5}),
        ("falk2019", {"rim_sigma": -2.0}),
    ],
)
def test_constants_that_make_no_weight_map_are_refused(formula: str, constants: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"{next(iter(constants))} is .*, not a number from"):
        weight_map(np.zeros((9, 9), np.int32), formula=formula, **constants)
