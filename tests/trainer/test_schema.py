"""Documents checked against the fields of a dataclass."""

from dataclasses import dataclass, field

import pytest

from unettrain.errors import InvalidInput
from unettrain.schema import check_document


@dataclass(frozen=True)
class Record:
    step: int
    rate: float | None = None
    names: list[str] = field(default_factory=list)


@pytest.mark.parametrize(
    "document",
    [{"step": 1}, {"step": 1, "rate": None}, {"step": 1, "rate": 2, "names": ["a"]}, {"step": -5, "names": []}],
)
def test_a_document_of_the_right_types_is_returned(document: dict[str, object]) -> None:
    assert check_document(document, Record, "x.json") is document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([1], r"^x\.json is list\n  allowed: an object"),
        (None, r"^x\.json is NoneType"),
        ({}, r"^x\.json lacks step"),
        ({"rate": 1.0}, r"^x\.json lacks step"),
        ({"step": 1.5}, r"^x\.json says step is 1\.5\n  allowed: an integer"),
        ({"step": True}, r"^x\.json says step is True"),
        ({"step": 1, "rate": "fast"}, r"says rate is 'fast'\n  allowed: a number or none"),
        ({"step": 1, "names": [1]}, r"says names is \[1\]\n  allowed: a list"),
        ({"step": 1, "b": 0, "a": 0}, r"^x\.json holds a, b, which this version does not know"),
    ],
)
def test_another_document_is_refused_by_the_field(document: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        check_document(document, Record, "x.json")
