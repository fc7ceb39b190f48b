"""Precision of scores of few cells."""

import pytest

from unettrain.metrics import Matching, Scores
from unettrain.reporting.precision import ap_interval, rounded, uncertainty


def scores(tp: int, fp: int, fn: int) -> Scores:
    return Scores(cells=(Matching(tp, fp, fn),) * 9, images=1)


@pytest.mark.parametrize(
    ("found", "interval"),
    [  # roots of |share - p| = 1.96 sqrt(p (1 - p) / num), by bisection
        (scores(34, 2, 2), (0.7587, 0.9583)),
        (scores(0, 5, 5), (0.0, 0.2775)),
        (scores(7, 0, 0), (0.6457, 1.0)),
        (scores(0, 0, 0), (0.0, 1.0)),
    ],
)
def test_the_interval_is_that_of_wilson(found: Scores, interval: tuple[float, float]) -> None:
    assert ap_interval(found) == pytest.approx(interval, abs=1e-4)


def test_few_cells_get_two_digits() -> None:
    assert rounded(0.12345, scores(34, 2, 2)) == "0.12"
    assert rounded(0.12345, scores(900, 50, 50)) == "0.123"


def test_the_words_say_what_the_scores_rest_on() -> None:
    words = uncertainty(scores(34, 2, 2), 5)
    assert "36 true cells and one training, of seed 5" in words
    assert "34 of 38" in words
    assert "one cell is 0.03 of it" in words
    assert "0.76 to 0.96" in words
    assert uncertainty(scores(0, 0, 0), 5).endswith("of seed 5. Without cells they say nothing.")
