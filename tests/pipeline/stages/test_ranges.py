"""Intensity ranges of imported images."""

import pytest

from unetprep.kernels.percentiles import RobustRange
from unetprep.stages.ranges import EXTREME, MOST_WARNINGS, ImageRange, range_summary, range_warnings


def image(
    greatest: float, dtype: str = "uint16", rule: str = "auto", low: float = 100, high: float = 200
) -> ImageRange:
    return ImageRange(dtype, rule, low, high, RobustRange(low, high, low, greatest, 0, 3, 1000))


def test_the_span_of_the_extremes_is_measured_by_that_of_the_percentiles() -> None:
    assert image(450).span_ratio() == 3.5
    assert image(100, low=100, high=100).span_ratio() == 1


def test_images_with_outliers_are_warned_of_the_worst_first() -> None:
    at_limit = 100 + 100 * EXTREME
    assert range_warnings({"a": image(at_limit), "b": image(250)}) == []
    many = {f"i{k}": image(at_limit + 100 * k) for k in range(1, MOST_WARNINGS + 4)}
    found = range_warnings(many)
    names = [warning.partition(":")[0] for warning in found[:-1]]
    assert names == [f"i{k}" for k in range(MOST_WARNINGS + 3, 3, -1)]
    assert found[-1].startswith("3 more images hold outliers")


def test_a_warning_has_the_numbers() -> None:
    (said,) = range_warnings({"a": image(1100)})
    assert "from 100 to 1100, 10 times the range 100 to 200" in said
    assert "3 of 1000 pixels (0.3 %)" in said


@pytest.mark.parametrize(
    ("dtype", "rule", "advice"),
    [
        ("uint16", "auto", "clipped"),
        ("uint16", "minmax", "--intensity is minmax"),
        ("uint8", "auto", "before you train"),
    ],
)
def test_the_advice_follows_from_the_rule(dtype: str, rule: str, advice: str) -> None:
    (said,) = range_warnings({"a": image(1100, dtype, rule)})
    assert advice in said


def test_the_summary_spans_all_images() -> None:
    assert range_summary([]) == ""
    one, other = image(300), ImageRange("uint8", "auto", 0, 255, RobustRange(3, 250, 0, 255, 5, 12, 1000))
    said = range_summary([one.as_values(), other.as_values()])
    assert "by dtype and percentile, 0 is 0 to 100 and 1 is 200 to 255; 1 %" in said
    assert "0 is 100 and 1 is 200; 0.3 %" in range_summary([one.as_values()])
    assert one.as_values()["percentiles"] == [100, 200]
    assert one.as_values()["extremes"] == [100, 300]
