"""Assignment of images to splits."""

import numpy as np
import pytest

from unetprep.errors import InvalidInput
from unetprep.params import ImportParams
from unetprep.sources import Source
from unetprep.sources.arrays import open_array
from unetprep.stages.splits import Part, known_splits, split_parts
from unetprep.store import Store

Pair = tuple[str, Source | None, Source]


def pairs(number: int, *shape: int) -> list[Pair]:
    labels = np.zeros(shape or (20, 30), np.uint8)
    return [(f"i{k}", None, open_array(f"i{k}", labels, "zyx"[-labels.ndim :])) for k in range(number)]


def splits(parts: list[Part]) -> dict[str, list[str]]:
    return {split: [part.name for part in parts if part.split == split] for split in ("train", "val", "test")}


def test_every_image_has_one_split_of_the_asked_size_whatever_the_seed() -> None:
    chosen = []
    for seed in range(20):
        parts = split_parts(pairs(10), ImportParams(val_fraction=0.2, test_fraction=0.3, seed=seed))
        assert [part.name for part in parts] == [f"i{k}" for k in range(10)]
        assert all(part.box == (slice(0, 1), slice(0, 1), slice(0, 20), slice(0, 30)) for part in parts)
        found = splits(parts)
        assert {split: len(names) for split, names in found.items()} == {"train": 5, "val": 2, "test": 3}
        chosen.append(tuple(found["test"]))
    assert len(set(chosen)) > 10


def test_a_fraction_above_zero_takes_at_least_one_image() -> None:
    assert [*map(len, splits(split_parts(pairs(3), ImportParams(val_fraction=0.01))).values())] == [2, 1, 0]
    assert [*map(len, splits(split_parts(pairs(3), ImportParams())).values())] == [3, 0, 0]


@pytest.mark.parametrize(
    ("shape", "dims", "axis"), [((20, 30), 2, 3), ((30, 20), 2, 2), ((10, 20, 30), 2, 1), ((10, 20, 30), 3, 3)]
)
def test_a_single_image_is_cut_into_strips_that_cover_it_once(shape: tuple[int, ...], dims: int, axis: int) -> None:
    params = ImportParams(dims=dims, val_fraction=0.2, test_fraction=0.3)
    parts = split_parts(pairs(1, *shape), params)
    assert [part.name for part in parts] == ["i0-train", "i0-val", "i0-test"]
    whole = (1, *(1,) * (3 - len(shape)), *shape)
    seen = np.zeros(whole, int)
    for part in parts:
        seen[part.box] += 1
        assert all(b == slice(0, n) for k, (b, n) in enumerate(zip(part.box, whole, strict=True)) if k != axis)
    assert (seen == 1).all()
    lengths = [part.box[axis].stop - part.box[axis].start for part in parts]
    assert lengths == [round(whole[axis] * share) for share in (0.5, 0.2, 0.3)]


def test_a_single_image_stays_whole_without_fractions_and_is_refused_where_nothing_is_left() -> None:
    (part,) = split_parts(pairs(1), ImportParams())
    assert (part.name, part.split) == ("i0", "train")
    with pytest.raises(InvalidInput, match="i0 is too small to be cut"):
        split_parts(pairs(1, 2, 2), ImportParams(val_fraction=0.2, test_fraction=0.2))


def test_images_that_are_known_keep_their_split_and_new_ones_fill_up_the_fractions() -> None:
    params = ImportParams(val_fraction=0.2, test_fraction=0.3, seed=4)
    first = {part.name: part.split for part in split_parts(pairs(10), params)}
    for number in (10, 11, 20, 100):
        parts = split_parts(pairs(number), params, first)
        assert {part.name: part.split for part in parts if part.name in first} == first
        counts = {split: len(names) for split, names in splits(parts).items()}
        assert counts["val"] == max(2, round(0.2 * number))
        assert counts["test"] == max(3, round(0.3 * number))
    new = [pair for pair in pairs(20) if pair[0] not in first]
    found = splits(split_parts(new, params, first))  # without those that are there, the new ones have the fractions
    assert {split: len(names) for split, names in found.items()} == {"train": 5, "val": 2, "test": 3}
    all_train = dict.fromkeys(first, "train")
    assert {part.split for part in split_parts(pairs(10), params, all_train)} == {"train"}


def test_splits_are_known_only_if_they_were_assigned_by_the_same_rule(store: Store) -> None:
    assert known_splits(None, ImportParams()) == {}
    assert known_splits(store, ImportParams()) == {"a": "train", "b": "train"}
    for other in ({"seed": 1}, {"val_fraction": 0.1}, {"test_fraction": 0.1}):
        assert known_splits(store, ImportParams(**other)) == {}
    store.drop_from_record("images/a", "split")
    assert known_splits(store, ImportParams()) == {"b": "train"}
