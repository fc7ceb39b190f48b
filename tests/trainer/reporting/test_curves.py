"""Line charts: scales, ticks, smoothing."""

from hypothesis import given
from hypothesis import strategies as st

from unettrain.reporting.curves import Scale, Series, line_chart, linear_ticks, log_ticks, smoothed, thinned


def test_a_scale_places_values() -> None:
    assert [Scale(0, 10, 100, 200).place(v) for v in (0, 5, 10)] == [100, 150, 200]
    assert [Scale(0.1, 10, 200, 100, log=True).place(v) for v in (0.1, 1, 10)] == [200, 150, 100]


def test_ticks_are_round() -> None:
    assert linear_ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert linear_ticks(0, 150) == [0, 50, 100, 150]
    assert linear_ticks(0.5, 0.5) == []
    assert log_ticks(0.1, 3) == [0.1, 0.2, 0.5, 1, 2]
    assert log_ticks(0.001, 10) == [0.001, 0.01, 0.1, 1, 10]


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_linear_ticks_lie_in_the_range(low: float, span: float) -> None:
    ticks = linear_ticks(low, low + span)
    assert 2 <= len(ticks) <= 12
    assert all(low - 1e-6 * span <= t <= low + span + 1e-6 * span for t in ticks)


def test_a_chart_draws_its_points_where_they_belong() -> None:
    chart = line_chart([Series([0, 50, 100], [0, 1, 0.5], "train")], "a <b>", "step", "loss", (0, 1))
    assert 'points="46.0,246.0 243.0,30.0 440.0,138.0"' in chart
    assert chart.count("<circle") == 3
    assert 'aria-label="a &lt;b&gt;"' in chart
    for tick in ("0", "20", "100", "0.2", "1"):
        assert f">{tick}</text>" in chart


def test_a_chart_of_one_point_and_of_constant_values_is_drawn() -> None:
    assert 'points="440.0,246.0"' in line_chart([Series([3], [0.5], "train")], "d", "x", "y")
    assert 'points="440.0,246.0"' in line_chart([Series([3], [0.5], "train")], "d", "x", "y", log=True)
    assert "nan" not in line_chart([Series([0, 0], [0.0, 0.0], "train")], "d", "x", "y", (0.0, 0.0))


def test_curves_are_smoothed_and_thinned() -> None:
    assert smoothed([1, 1, 4, 1, 1], 3) == [1, 2, 2, 2, 1]
    assert smoothed([5.0], 3) == [5]
    assert thinned([1, 2, 3, 4], [0, 2, 4, 6], 2) == ([1.5, 3.5], [1, 5])
    assert thinned([], []) == ([], [])
