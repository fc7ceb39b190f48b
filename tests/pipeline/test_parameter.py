"""Parameters: their numbers, texts and lists."""

import numpy as np
import pytest

from unetprep.errors import InvalidInput
from unetprep.params import (
    DeformParams,
    WeightsParams,
)


def test_numbers_are_numbers_and_equal_values_are_one_parameter() -> None:
    params = WeightsParams(spacing=(4, 1, 1), class_weights=(1, 2), sigma=5)
    assert params == WeightsParams(spacing=np.array([4, 1, 1]), class_weights=[1.0, 2.0], sigma=np.float32(5))  # type: ignore[arg-type]
    assert (params.spacing, params.fixed_class_weights()) == ((4.0, 1.0, 1.0), (1.0, 2.0))
    assert DeformParams(grid=(3, 5)).nodes() == (3, 5)
    with pytest.raises(InvalidInput, match=r"spacing is '4,1,1'\n  allowed: two or three numbers"):
        WeightsParams(spacing="4,1,1")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=r"sigma is '5'\n  allowed: a number"):
        WeightsParams(sigma="5")  # type: ignore[arg-type]
