"""Checks of the records of arrays."""

from typing import Any

import pytest

from unetprep.format.schema import CHECKS


@pytest.mark.parametrize(
    ("parameters", "accepted"),
    [
        ({"spacing": [None, 0.3, 0.1]}, True),
        ({"spacing": [None, 0.0, 0.1]}, False),
        ({"formula": "paper", "spacing": [3.0, 1.0]}, True),
        ({"formula": "paper", "spacing": [None, 3.0, 1.0]}, False),
        ({"formula": "paper", "spacing": [0, 1.0]}, False),
    ],
)
def test_only_the_import_records_an_unknown_size(parameters: dict[str, Any], accepted: bool) -> None:
    assert CHECKS["parameters"].accepts(parameters) == accepted
