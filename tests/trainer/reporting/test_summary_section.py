"""The summary of a report."""

from unettrain.reporting.summary_section import training_seconds


def test_the_time_of_a_run_that_was_interrupted_adds_up() -> None:
    assert training_seconds([]) == 0
    assert training_seconds([{"seconds": 1.0}, {"seconds": 4.0}, {"seconds": 2.0}, {"seconds": 3.0}]) == 7
