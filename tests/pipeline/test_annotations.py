"""Values checked against type annotations at run time."""

from collections.abc import Callable
from typing import Any

import pytest

from unetprep.annotations import conforms, describe_type


@pytest.mark.parametrize(
    ("value", "annotated", "expected"),
    [
        (1, int, True),
        (1, float, True),
        (1.0, int, False),
        (True, int, False),
        (True, float, False),
        (True, bool, True),
        (None, None, True),
        (None, int, False),
        (None, int | None, True),
        ("1", int | None, False),
        ((1, 2.5), tuple[float, ...], True),
        ([1, 2.5], tuple[float, ...], False),
        ((), tuple[float, ...], True),
        ((1, "a"), tuple[float, ...], False),
        ((1, "a"), tuple[int, str], True),
        ((1, "a", "b"), tuple[int, str], False),
        ([1, 2], list[int], True),
        ({"a": [1]}, dict[str, list[int]], True),
        ({1: [1]}, dict[str, list[int]], False),
        ({"a": [None]}, dict[str, list[int]], False),
        (object(), Any, True),
    ],
)
def test_a_value_conforms_to_its_type_alone(value: object, annotated: object, expected: bool) -> None:
    assert conforms(value, annotated) == expected


@pytest.mark.parametrize(
    ("annotated", "words"),
    [
        (int, "an integer"),
        (float | None, "a number or none"),
        (dict[str, int], "an object"),
        (list[int] | str, "a list or text"),
        (tuple[int, ...], "tuple"),
        (Callable, "Callable"),
    ],
)
def test_types_are_described_in_words(annotated: object, words: str) -> None:
    assert describe_type(annotated) == words
