"""Change of gray values along a curve."""

import numpy as np

from unetprep.kernels.gray_values import change_gray


def test_gray_values_go_through_black_and_white_on_a_curve_of_the_slope_drawn() -> None:
    values = np.linspace(0, 1, 1001, dtype=np.float32)
    curve = values.copy()
    change_gray(curve, black=-0.05, white=1.05, slope=1.2)
    np.testing.assert_allclose(curve[[0, -1]], [-0.05, 1.05], atol=1e-6)
    np.testing.assert_allclose((curve[1] - curve[0]) / 1.1 * 1000, 1.2, atol=2e-3)
    assert (np.diff(curve) > 0).all()
    straight = values.copy()
    change_gray(straight)
    np.testing.assert_array_equal(straight, values)
