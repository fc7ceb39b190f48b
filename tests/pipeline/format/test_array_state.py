"""State of an array, from the attributes of the arrays it was computed from."""

from typing import Any

import pytest

from unetprep.format.array_state import array_state
from unetprep.format.metadata import DamagedDocument

DONE: dict[str, Any] = {"complete": True, "fingerprint": "1"}


def made_of(*paths: str, then: str = "1", **more: Any) -> dict[str, Any]:
    return DONE | {"inputs": dict.fromkeys(paths, then)} | more


@pytest.mark.parametrize(
    ("records", "state"),
    [
        ({}, "missing"),
        ({"a/b": {"complete": False}}, "unfinished"),
        ({"a/b": DONE}, "finished"),
        ({"a/b": made_of("image.tif")}, "finished"),  # a file, at import
        ({"a/b": made_of("c/d"), "c/d": DONE}, "finished"),
        ({"a/b": made_of("c/d", then="0"), "c/d": DONE}, "stale"),
        ({"a/b": made_of("c/d")}, "stale"),
        ({"a/b": made_of("c/d"), "c/d": {"complete": False, "fingerprint": "1"}}, "stale"),
        ({"a/b": made_of("c/d"), "c/d": made_of("e/f", then="0"), "e/f": DONE}, "stale"),
        ({"a/b": made_of("a/b")}, "stale"),
    ],
)
def test_an_array_is_as_fresh_as_its_inputs(records: dict[str, dict[str, Any]], state: str) -> None:
    assert array_state("a/b", lambda path: records.get(path, {})) == state


def test_a_damaged_document_is_damaged_and_makes_others_stale() -> None:
    def record(path: str) -> dict[str, Any]:
        if path == "c/d":
            raise DamagedDocument("damaged")
        return made_of("c/d")

    assert array_state("c/d", record) == "damaged"
    assert array_state("a/b", record) == "stale"
