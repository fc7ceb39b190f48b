"""Where the pixels of an image lie."""

from typing import Any

import pytest

from unetprep.format.places import ImagePlace, group_paths, places_in, places_of

STACK: dict[str, Any] = {
    "dims": 2,
    "intensity_rule": "auto",
    "images": {
        "names": ["p", "q", "r"],
        "sizes": [[4, 6], [5, 3], [2, 2]],
        "split": ["train", None, "val"],
        "intensity": [[0, 1], [0, 2], [0, 3]],
        "source": [["p.tif"], ["q.tif"], ["r.tif"]],
    },
}
RECORDS: dict[str, dict[str, Any]] = {
    "images": {"names": ["a", "b"]},
    "images/a": {"dims": 3, "split": "test"},
    "images/b": {"dims": 2, "split": "val"},
    "stacks": {"count": 1},
    "stacks/0": STACK,
}


def record(path: str) -> dict[str, Any]:
    return RECORDS.get(path, {})


def test_images_come_first_then_stacks_without_the_images_that_were_removed() -> None:
    assert group_paths(record) == ["images/a", "images/b", "stacks/0"]
    assert group_paths(lambda path: {}) == []
    assert list(places_of(record)) == ["a", "b", "p", "r"]
    assert places_of(record)["r"] == ImagePlace("r", "stacks/0", 2, (2, 2))
    assert [place.name for place in places_in("stacks/0", STACK, removed=True)] == ["p", "q", "r"]
    assert list(places_in("stacks/0", {})) == []


def test_an_image_with_arrays_of_its_own_is_all_of_them() -> None:
    place = places_of(record)["a"]
    box = (slice(1, 2), slice(0, 4), slice(5, 6))
    assert (place.first, place.shape((9, 8, 7)), place.shape((3, 9, 8, 7))) == (0, (9, 8, 7), (9, 8, 7))
    assert place.box(box) == box
    assert place.record(record("images/a")) == {"dims": 3, "split": "test"}


def test_an_image_of_a_stack_is_one_slice_with_sides_of_its_own() -> None:
    place = places_of(record)["r"]
    assert (place.first, place.shape((3, 5, 6)), place.shape((1, 3, 5, 6))) == (2, (1, 2, 2), (1, 2, 2))
    assert place.box((slice(0, 1), slice(0, 2), slice(1, 2))) == (slice(2, 3), slice(0, 2), slice(1, 2))
    assert place.box((slice(0, 1), slice(0, 1), slice(0, 2), slice(1, 2)))[:2] == (slice(0, 1), slice(2, 3))
    assert place.record(STACK) == {
        "dims": 2,
        "intensity_rule": "auto",
        "split": "val",
        "intensity": [0, 3],
        "source": ["r.tif"],
    }


@pytest.mark.parametrize("name", ["p", "q"])
def test_the_order_of_slices_is_that_of_the_table(name: str) -> None:
    places = {place.name: place for place in places_in("stacks/0", STACK, removed=True)}
    assert places[name].index == STACK["images"]["names"].index(name)
    assert places[name].sides == tuple(STACK["images"]["sizes"][places[name].index or 0])
