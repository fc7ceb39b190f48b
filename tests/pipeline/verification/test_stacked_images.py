"""Whatever happens to an object of a stack is found and named, with the image that it concerns."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unetprep
from tests.pipeline.conftest import tree
from tests.pipeline.stages.test_stacks import IMAGES, LABELS, TILES, WEIGHTS
from tests.pipeline.verification.test_verifier import ALL, NONE, flip, look, named
from unetprep import ImportParams, VerifyParams
from unetprep.format import layout
from unetprep.format.layout import KEY
from unetprep.format.metadata import encode, parse_document
from unetprep.format.sharding import Damaged
from unetprep.store import Store
from unetprep.verification.inventory import read_node

PARAMS = ImportParams(val_fraction=0.2)
ARRAYS = ("image", "labels/instances/instances", "labels/target/target", "labels/target/class_counts", "weights")


def make(url: Path, *, overwrite: bool = False, params: ImportParams = PARAMS) -> None:
    """A store of twenty images in one stack of several shards, on which every stage has run."""
    unetprep.import_images(url, IMAGES, LABELS, params, overwrite=overwrite, workers=1)
    unetprep.prepare_store(url, stages=[WEIGHTS, TILES], workers=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    url = tmp_path_factory.mktemp("stacked") / "ds.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(layout.PIXEL_CHUNK, 2, (1, 32, 32))
        patch.setattr(layout, "STACK_SHARD_PX", 12000)
        make(url)
        yield url


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "ds.zarr"))


def shard_of(array: str, number: int = 0) -> str:
    """The key of a shard of an array of the stack."""
    num_axes = {"image": 4, "labels/target/class_counts": 4}.get(array, 3)
    index = [0] * num_axes
    index[1 if array == "image" else 0] = number
    return f"stacks/0/{array}/c/{'/'.join(map(str, index))}"


def edit_shard(url: Path, array: str, number: int, edit: Callable[[np.ndarray], None]) -> str:
    """Change the values of a shard, with right checksums. Returns its key."""
    key = shard_of(array, number)
    shards = Store(str(url)).shards(f"stacks/0/{array}")
    values = shards.decode((url / key).read_bytes())
    edit(values)
    (url / key).write_bytes(shards.encode(values))
    return key


def edit_record(url: Path, path: str, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change the attributes of a node, with a right checksum."""
    file = url / path / "zarr.json"
    document = parse_document(file.read_bytes(), path)
    edit(document["attributes"][KEY])
    file.write_bytes(encode(document))


def test_a_whole_store_has_no_faults_and_is_not_touched(copy: Path) -> None:
    before = tree(copy)
    assert Store(str(copy)).written("stacks/0/image").shape == (1, 4, 1, 1)
    found = look(copy, ALL)
    assert (found.faults, found.notes) == ((), ())
    assert found.num_documents + found.num_shards == len(before)
    assert found.recomputed == {"target": 4, "weights": 4, "tiles": 2}
    assert look(copy, VerifyParams(samples=2)).recomputed == {"target": 2, "weights": 2, "tiles": 2}
    assert tree(copy) == before


def test_every_byte_of_every_kind_of_document_counts(made: Path) -> None:
    paths = ("stacks", "stacks/0", "stacks/0/labels", "stacks/0/labels/target", *(f"stacks/0/{a}" for a in ARRAYS))
    for path in paths:
        data = (made / path / "zarr.json").read_bytes()
        assert not read_node(path, data, sealed=True).problem
        for at in range(0, len(data), 1 + len(data) // 1000):
            assert read_node(path, flip(data, at, at % 8), sealed=True).problem, (path, at)


def test_every_byte_of_a_shard_counts(made: Path) -> None:
    for array in ARRAYS:
        shards, data = Store(str(made)).shards(f"stacks/0/{array}"), (made / shard_of(array, 1)).read_bytes()
        shards.check(data)
        for at in range(0, len(data), 1 + len(data) // 500):
            with pytest.raises(Damaged):
                shards.check(flip(data, at, at % 8))


def test_a_changed_lost_or_shortened_object_is_named_alone(copy: Path) -> None:
    rng = random.Random(1)
    of_stack = {key: data for key, data in tree(copy).items() if key.startswith("stacks/")}
    for key, data in of_stack.items():
        kind = "metadata" if key.endswith("zarr.json") else "damaged"
        (copy / key).write_bytes(flip(data, rng.randrange(len(data)), rng.randrange(8)))
        assert named(look(copy)) == [(kind, key)]
        (copy / key).write_bytes(data[: rng.randrange(len(data))])
        assert named(look(copy)) == [(kind, key)]
        (copy / key).unlink()
        assert named(look(copy)) == [("missing", key)]
        (copy / key).write_bytes(data)
    assert named(look(copy)) == []


@pytest.mark.parametrize("array", ARRAYS)
def test_shards_that_changed_places_are_found(copy: Path, array: str) -> None:
    keys = [shard_of(array, number) for number in (0, 2)]
    first, second = ((copy / key).read_bytes() for key in keys)
    assert first != second
    (copy / keys[0]).write_bytes(second)
    (copy / keys[1]).write_bytes(first)
    kinds = dict.fromkeys(ARRAYS[:2], "digest") | {"labels/target/class_counts": "differs"}
    kind = kinds.get(array, "values")  # of padding
    assert set(named(look(copy, ALL))) == {(kind, key) for key in keys}


def test_a_shard_of_another_array_is_found(copy: Path) -> None:
    """Labels in the place of the labels of another import have right checksums."""
    shutil.copy(copy / shard_of("labels/instances/instances"), copy / shard_of("labels/instances/instances", 1))
    assert {kind for kind, _ in named(look(copy))} == {"digest"}
    shutil.copy(copy / shard_of("labels/target/target"), copy / shard_of("labels/target/target", 1))
    assert ("damaged", shard_of("image")) not in named(look(copy))
    shutil.copy(copy / shard_of("weights"), copy / shard_of("image"))
    assert ("damaged", shard_of("image")) in named(look(copy))


@pytest.mark.parametrize("array", ["image", "labels/instances/instances"])
def test_exchanged_pixels_of_an_image_are_found_by_its_name(copy: Path, array: str) -> None:
    def exchange(values: np.ndarray) -> None:
        inside = values[..., 2, :20, :40]
        inside[...] = inside[..., ::-1].copy()

    key = edit_shard(copy, array, 1, exchange)
    (fault,) = look(copy).faults
    assert (fault.kind, fault.path) == ("digest", key)
    assert fault.message == "the pixels of 007 are not those that were imported"


@pytest.mark.parametrize(("array", "value"), [("labels/target/target", None), ("weights", 1.0)])
def test_a_wrong_pixel_is_found_by_computing_its_shard_once_more(copy: Path, array: str, value: float | None) -> None:
    def change(values: np.ndarray) -> None:
        values[1, 9, 9] = 1 - values[1, 9, 9] if value is None else values[1, 9, 9] + value

    key = edit_shard(copy, array, 2, change)
    assert named(look(copy)) == []
    (fault,) = look(copy, ALL).faults
    assert (fault.kind, fault.path) == ("differs", key)
    assert "1 of its values differ, the first at (11, 9, 9)" in fault.message


@pytest.mark.parametrize("array", [a for a in ARRAYS if "counts" not in a])
@pytest.mark.parametrize("where", ["beside", "below", "beyond"])
def test_padding_that_is_not_zero_is_found(copy: Path, array: str, where: str) -> None:
    """Beside and below the image within its last chunks, and in chunks that lie beyond it."""
    height, width = LABELS["012"].shape
    at = {"beside": (3, width), "below": (height, 3), "beyond": (63, 95)}[where]

    def change(values: np.ndarray) -> None:
        values[(*(0,) * (values.ndim - 3), 2, *at)] = 1

    assert height % 32
    assert width % 32
    key = edit_shard(copy, array, 2, change)
    (fault,) = look(copy).faults
    assert (fault.kind, fault.path) == ("values", key)
    assert fault.message == "the padding of slice 12 is not 0"


@pytest.mark.parametrize("what", ["names", "sizes", "order", "split", "one less"])
def test_a_table_that_is_not_that_of_the_import_is_found(copy: Path, what: str) -> None:
    def change(record: dict[str, Any]) -> None:
        table = record["images"]
        if what == "names":
            table["names"][3] = "other"
        elif what == "sizes":
            table["sizes"][3] = [5, 5]
        elif what == "order":
            table["names"][2:4] = table["names"][3:1:-1]
        elif what == "split":
            table["split"][0] = "test"
        else:
            record["images"] = {key: column[:-1] for key, column in table.items()}

    edit_record(copy, "stacks/0", change)
    found = named(look(copy))
    if what == "split":  # nothing but the tiles knows it
        assert set(named(look(copy, ALL))) == {("metadata", "tiles/image_index/zarr.json")}
    else:
        assert ("metadata", "stacks/0/zarr.json") in found
        assert {kind for kind, path in found if path != "stacks/0/zarr.json"} <= {"digest", "values"}


def test_a_count_of_stacks_that_is_too_small_or_too_large_is_found(copy: Path) -> None:
    edit_record(copy, "stacks", lambda record: record.update(count=0))
    assert {kind for kind, path in named(look(copy)) if path.startswith("stacks/0/")} == {"unknown"}
    edit_record(copy, "stacks", lambda record: record.update(count=2))
    assert ("missing", "stacks/1/zarr.json") in named(look(copy))


def do(to_do: str, url: Path) -> None:
    """Do what a fault says."""
    overwrite = "--overwrite" in to_do
    if "--repair" in to_do:
        look(url, repair=True)
    if "unetprep import" in to_do:
        unetprep.import_images(url, IMAGES, LABELS, PARAMS, overwrite=overwrite, workers=1)
    for name, params in (("weights", WEIGHTS), ("tiles", TILES)):
        if f"unetprep {name}" in to_do:
            unetprep.prepare_store(url, stages=[params], overwrite=overwrite, workers=1)


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("how", ["damaged", "missing", "document lost", "document damaged", "digest"])
def test_doing_what_a_fault_says_mends_the_store(copy: Path, array: str, how: str) -> None:
    whole = tree(copy)
    shard, document = copy / shard_of(array, 1), copy / f"stacks/0/{array}/zarr.json"
    if how == "damaged":
        shard.write_bytes(flip(shard.read_bytes(), 9, 1))
    elif how == "missing":
        shard.unlink()
    elif how == "document lost":
        document.unlink()
    elif how == "document damaged":
        document.write_bytes(flip(document.read_bytes(), 30, 1))
    elif array in ARRAYS[:2]:
        shutil.copy(copy / shard_of(array, 0), shard)
    else:
        pytest.skip("only imported pixels have a digest")
    for _ in range(6):
        faults = look(copy, ALL).faults
        if not faults:
            break
        if faults[0].to_do.startswith(("delete its shards", "delete it, then")):
            (copy / faults[0].path).unlink()
        do(faults[0].to_do, copy)
    assert look(copy, ALL).faults == ()
    assert [key for key, data in tree(copy).items() if whole.get(key) != data] == []


def test_an_image_that_was_removed_is_no_fault(copy: Path) -> None:
    unetprep.remove(copy, "007")
    faults = look(copy, ALL).faults
    assert {fault.path.partition("/")[0] for fault in faults} == {"tiles"}
    do(faults[0].to_do, copy)
    assert look(copy, ALL).faults == ()


def test_labels_with_numbered_components_are_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "STACK_SHARD_PX", 12000)
    make(tmp_path / "c.zarr", params=ImportParams(instances="components", ignore_label=999))
    assert look(tmp_path / "c.zarr", ALL).faults == ()


def test_a_stack_without_seals_is_no_fault(copy: Path) -> None:
    for key, data in tree(copy).items():
        if key.endswith("zarr.json"):
            document = json.loads(data)
            document["attributes"].get(KEY, {}).pop("checksum", None)
            (copy / key).write_bytes(json.dumps(document).encode())
    assert look(copy, NONE).faults == ()
