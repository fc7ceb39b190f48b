"""Whatever happens to an object of a store is found and named, and nothing else is."""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.pipeline.conftest import LOCAL, tree
from tests.synthetic import cell_image, cell_labels
from unetprep.engine.importing import import_images
from unetprep.engine.run import run_stage
from unetprep.errors import InvalidInput
from unetprep.format import layout
from unetprep.format.layout import PLACES
from unetprep.format.sharding import Damaged
from unetprep.params import DeformParams, ImportParams, TilesParams, VerifyParams, WeightsParams
from unetprep.stages import STAGES
from unetprep.storage.local import LocalStorage
from unetprep.store import Store
from unetprep.verification import Verified, verify
from unetprep.verification.inventory import GROUPS, kind_of, read_node

ALL = VerifyParams(all=True)
NONE = VerifyParams(samples=0)
TILES = TilesParams(tile_px=60, depth=2, margin_px=8, instances=True)
STAGE_PARAMS = {"weights": WeightsParams(sigma=2.0), "deform": DeformParams(fields=10), "tiles": TILES}


def make(folder: Path, url: str, **options: object) -> None:
    """A store of two images on which every stage has run."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(exist_ok=True)
    for name, shape in (("a", (70, 90)), ("b", (41, 47))):
        labels = cell_labels(shape, 12, seed=len(name))
        tifffile.imwrite(folder / "images" / f"{name}.tif", cell_image(labels))
        tifffile.imwrite(folder / "masks" / f"{name}.tif", labels)
    import_images(url, [str(folder / "images")], [str(folder / "masks")], ImportParams(**options), LOCAL)  # type: ignore[arg-type]
    for name, params in STAGE_PARAMS.items():
        run_stage(Store.open(url), STAGES[name], params, LOCAL)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Such a store, in small shards; as long as these tests last."""
    folder = tmp_path_factory.mktemp("verify")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(layout.PIXEL_CHUNK, 2, (1, 16, 16))
        patch.setitem(layout.PIXEL_SHARD, 2, (1, 48, 64))
        make(folder, str(folder / "ds.zarr"))
        yield folder / "ds.zarr"


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "ds.zarr"))


def look(url: Path, params: VerifyParams = NONE, repair: bool = False) -> Verified:
    return verify(str(url), params, workers=2, repair=repair)


def named(found: Verified) -> list[tuple[str, str]]:
    return [(fault.kind, fault.path) for fault in found.faults]


def test_a_whole_store_has_no_faults_and_is_not_touched(copy: Path) -> None:
    before = tree(copy)
    found = look(copy, ALL)
    assert (found.faults, found.notes) == ((), ())
    assert found.num_documents + found.num_shards == len(before)
    assert found.recomputed == {"target": 5, "weights": 5, "fields": 1, "tiles": 2}
    assert look(copy, VerifyParams(samples=3)).recomputed == {"target": 3, "weights": 3, "fields": 1, "tiles": 2}
    assert tree(copy) == before


def flip(data: bytes, at: int, bit: int) -> bytes:
    flipped = bytearray(data)
    flipped[at] ^= 1 << bit
    return bytes(flipped)


def test_one_flipped_bit_anywhere_is_found_and_its_file_named(copy: Path) -> None:
    rng = random.Random(0)
    for key, data in tree(copy).items():
        at, bit = rng.randrange(len(data)), rng.randrange(8)
        (copy / key).write_bytes(flip(data, at, bit))
        kind = "metadata" if key.endswith("zarr.json") else "damaged"
        assert named(look(copy)) == [(kind, key)], (key, at, bit)
        (copy / key).write_bytes(data)
    assert named(look(copy)) == []


def test_every_bit_of_every_kind_of_document_counts(made: Path) -> None:
    """Also those that name the seal, without which it looks as if there were none."""
    for path in ("", "images", "images/a", "images/a/labels", "images/a/image", "images/a/weights", "tiles", "fields"):
        data = (made / path / "zarr.json").read_bytes()
        assert not read_node(path, data, sealed=True).problem
        for at in range(len(data)):
            assert read_node(path, flip(data, at, at % 8), sealed=True).problem, (path, at)


def test_every_bit_of_a_shard_counts(made: Path) -> None:
    for path in ("images/b/weights", "images/b/labels/target/class_counts", "tiles/foreground", "tiles/y0"):
        shards = Store(str(made)).shards(path)
        key = f"{path}/c/" + "/".join("0" * len(shards.shape))
        data = (made / key).read_bytes()
        shards.check(data)
        for at in range(0, len(data), 1 + len(data) // 1000):
            with pytest.raises(Damaged):
                shards.check(flip(data, at, at % 8))


def test_all_bits_at_once_are_named_all(copy: Path) -> None:
    shards = [key for key in tree(copy) if not key.endswith("zarr.json")]
    for key in shards:
        data = bytearray((copy / key).read_bytes())
        data[len(data) // 2] ^= 16
        (copy / key).write_bytes(data)
    assert named(look(copy, ALL)) == [("damaged", key) for key in sorted(shards)]


def test_a_deleted_file_is_named(copy: Path) -> None:
    for key, data in [*tree(copy).items()][::2]:
        (copy / key).unlink()
        assert named(look(copy)) == [("missing", key)]
        (copy / key).write_bytes(data)


def test_a_file_that_was_cut_short_is_named(copy: Path) -> None:
    rng = random.Random(0)
    for key, data in rng.sample(sorted(tree(copy).items()), 15):
        for size in {0, rng.randrange(len(data)), len(data) - 1}:
            (copy / key).write_bytes(data[:size])
            assert named(look(copy)) == [("metadata" if key.endswith("json") else "damaged", key)], (key, size)
        (copy / key).write_bytes(data)


@pytest.mark.parametrize(
    ("array", "shards", "kind"),
    [
        ("images/a/image", ("0/0/0/0", "0/0/0/1"), "digest"),
        ("images/a/labels/instances/instances", ("0/0/0", "0/1/0"), "digest"),
        ("images/a/labels/target/target", ("0/0/0", "0/1/0"), "differs"),
        ("images/a/labels/target/class_counts", ("0/0/0/0", "0/0/1/0"), "differs"),
        ("images/a/weights", ("0/0/0", "0/0/1"), "differs"),
    ],
)
def test_shards_that_changed_places_are_found_by_what_they_should_be(
    copy: Path, array: str, shards: tuple[str, str], kind: str
) -> None:
    keys = [f"{array}/c/{shard}" for shard in shards]
    first, second = ((copy / key).read_bytes() for key in keys)
    assert first != second
    (copy / keys[0]).write_bytes(second)
    (copy / keys[1]).write_bytes(first)
    assert named(look(copy, ALL)) == ([(kind, array)] if kind == "digest" else [(kind, key) for key in keys])


def test_an_extra_file_is_named(copy: Path) -> None:
    extra = (
        "notes.txt",
        "images/a/weights/c/9/9/9",
        "images/a/weights/c/7",
        "images/a/weights/c/0/00/0",
        "images/a/weights/thumbs.db",
        "images/a/mine/zarr.json",
        "images/stranger/zarr.json",
        "images/stranger/image/c/0/0/0/0",
    )
    for key in extra:
        (copy / key).parent.mkdir(parents=True, exist_ok=True)
        (copy / key).write_bytes(b"{}")
    assert named(look(copy)) == [("unknown", key) for key in sorted(extra)]


def test_what_cannot_be_read_is_not_held_for_damaged(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unreachable server says nothing about a shard, least of all that it may be deleted."""
    before, get = tree(copy), LocalStorage.get

    def unreachable(self: LocalStorage, key: str) -> bytes:
        if "/c/" in key:
            raise ConnectionError("no answer")
        return get(self, key)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "get", unreachable)
        with pytest.raises(ConnectionError):
            look(copy, repair=True)
    assert tree(copy) == before


def test_only_what_is_still_damaged_when_it_is_looked_at_again_is_deleted(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "images/a/weights/c/0/0/0"
    whole, get, asked = tree(copy), LocalStorage.get, []

    def damaged_once(self: LocalStorage, which: str) -> bytes:
        asked.append(which)
        return flip(get(self, which), 9, 3) if asked.count(key) == 1 and which == key else get(self, which)

    monkeypatch.setattr(LocalStorage, "get", damaged_once)
    assert ("damaged", key) in named(look(copy, repair=True))
    assert tree(copy) == whole


def test_leftovers_of_a_killed_run_are_no_faults(copy: Path) -> None:
    (copy / "images/a/weights/c/0/0/.partial-1234").write_bytes(b"half")
    (copy / ".lock").write_text(json.dumps({"command": "unetprep x", "pid": 1, "host": "elsewhere"}))
    found = look(copy)
    assert found.faults == ()
    assert found.notes[0].startswith("images/a/weights/c/0/0/.partial-1234: left behind by a run that was killed")
    assert found.notes[1].startswith(".lock: unetprep x (process 1 on elsewhere) works on the store")


@pytest.mark.parametrize(
    ("document", "found_at"),
    [
        ("labels/instances/instances/zarr.json", [("digest", "labels/instances/instances")]),
        ("labels/target/target/zarr.json", [("metadata", "labels/target/target/zarr.json")]),
        ("weights/zarr.json", [("metadata", "weights/zarr.json")]),
    ],
)
def test_a_document_of_another_image_is_intact_but_not_of_this_place(
    tmp_path: Path, document: str, found_at: list[tuple[str, str]]
) -> None:
    url = tmp_path / "ds.zarr"
    (tmp_path / "masks").mkdir()
    for seed, name in enumerate("ab"):
        tifffile.imwrite(tmp_path / f"masks/{name}.tif", cell_labels((40, 40), 6, seed=seed))
    import_images(str(url), [], [str(tmp_path / "masks")], ImportParams(), LOCAL)
    run_stage(Store.open(str(url)), STAGES["weights"], WeightsParams(class_weights=(1, 1)), LOCAL)
    assert look(url, ALL).faults == ()
    (url / "images/a" / document).write_bytes((url / "images/b" / document).read_bytes())
    of_a = [(kind, path) for kind, path in named(look(url)) if kind != "stale"]
    assert of_a == [(kind, f"images/a/{path}") for kind, path in found_at]


def test_values_that_cannot_be_are_named(copy: Path) -> None:
    store = Store(str(copy))
    for array, value, says in (
        ("images/a/labels/instances/instances", -2, "it holds -2, and may hold -1 or more"),
        ("images/a/labels/target/target", 2, "it holds 2, and may hold 0 to 1"),
        ("images/a/weights", np.nan, "it holds nan"),
        ("images/a/weights", -1e-3, "it holds -0.00"),
        ("fields/grids", np.inf, "it holds inf"),
        ("tiles/split", 3, "it holds 3, and may hold 0 to 2"),
    ):
        shards = store.shards(array)
        key = f"{array}/c/" + "/".join("0" * len(shards.shape))
        kept = (copy / key).read_bytes()
        values = shards.decode(kept)
        values.flat[5] = value
        (copy / key).write_bytes(shards.encode(values))
        (fault,) = look(copy).faults
        assert (fault.kind, fault.path) == ("values", key)
        assert fault.message.startswith(says)
        (copy / key).write_bytes(kept)


def test_a_wrong_pixel_is_found_by_computing_the_shard_once_more(copy: Path) -> None:
    store = Store(str(copy))
    for array in ("images/a/weights", "images/b/labels/target/target", "fields/grids", "tiles/image", "tiles/y0"):
        shards = store.shards(array)
        key = f"{array}/c/" + "/".join("0" * len(shards.shape))
        kept = (copy / key).read_bytes()
        values = shards.decode(kept)
        values.flat[3] = 1 - values.flat[3] if array.endswith("target") else values.flat[3] + 1
        (copy / key).write_bytes(shards.encode(values))
        assert named(look(copy)) == [], array
        (fault,) = look(copy, ALL).faults
        assert (fault.kind, fault.path) == ("differs", key)
        (copy / key).write_bytes(kept)


def test_a_tiny_change_of_a_weight_is_too_much(copy: Path) -> None:
    store = Store(str(copy))
    shards, shard = store.shards("images/b/weights"), copy / "images/b/weights/c/0/0/0"
    values = shards.decode(shard.read_bytes())
    values[0, 20, 20] += 1e-5
    shard.write_bytes(shards.encode(values))
    (fault,) = look(copy, ALL).faults
    assert "(by the engine edt), 1 of its values differ, the first at (0, 20, 20)" in fault.message


def test_unfinished_and_stale_arrays_are_named_once(copy: Path) -> None:
    store = Store(str(copy))
    store.set_complete("images/b/weights", False)
    assert named(look(copy)) == [("unfinished", "images/b/weights"), *stale_tiles()]
    store.set_complete("images/b/weights", True)
    run_stage(Store(str(copy)), STAGES["weights"], WeightsParams(w0=5.0), LOCAL, overwrite=True)
    assert named(look(copy, ALL)) == stale_tiles()


def stale_tiles() -> list[tuple[str, str]]:
    return [("stale", f"tiles/{name}") for name in sorted(GROUPS["tiles"]) if name not in PLACES]


def test_repair_deletes_damaged_shards_and_repeating_the_stages_mends_the_store(copy: Path) -> None:
    whole = tree(copy)
    for key in ("images/a/weights/c/0/1/1", "tiles/image/c/0/0/0/0", "images/a/image/c/0/0/0/0"):
        data = bytearray((copy / key).read_bytes())
        data[9] ^= 1
        (copy / key).write_bytes(data)
    found = look(copy, repair=True)
    assert len(found.faults) == sum(note.endswith(": deleted") for note in found.notes) == 3
    assert all(not (copy / fault.path).exists() for fault in found.faults)
    assert not Store(str(copy)).record("tiles/image")["complete"]
    assert {kind for kind, _ in named(look(copy))} == {"unfinished", "stale"}
    folder = str(Path(copy).parent)
    make(Path(folder), str(copy))
    assert look(copy, ALL).faults == ()
    assert tree(copy) == whole


def test_components_are_held_against_what_is_made_from_them(tmp_path: Path) -> None:
    make(tmp_path, str(tmp_path / "c.zarr"), instances="components", connectivity=8)
    found = look(tmp_path / "c.zarr", ALL)
    assert found.faults == ()


def test_a_volume_and_flat_voxels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(layout.PIXEL_CHUNK, 3, (2, 16, 16))
    monkeypatch.setitem(layout.PIXEL_SHARD, 3, (4, 32, 32))
    labels = np.stack([cell_labels((40, 50), 9, seed, radius=8) for seed in range(7)]).astype(np.int32)
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    url = str(tmp_path / "ds.zarr")
    import_images(url, [], [str(tmp_path / "labels.tif")], ImportParams(dims=3), LOCAL)
    options = {"spacing": (4, 1, 1), "engine": "edt", "formula": "falk2019", "separate": "symmetric"}
    run_stage(Store.open(url), STAGES["weights"], WeightsParams(**options), LOCAL)  # type: ignore[arg-type]
    found = verify(url, ALL)
    assert found.faults == ()
    assert found.recomputed == {"target": 8, "weights": 8}


def test_a_store_without_seals_is_other_software_s_and_no_fault(copy: Path) -> None:
    for key, data in tree(copy).items():
        if key.endswith("zarr.json"):
            document = json.loads(data)
            document["attributes"].get("unetprep", {}).pop("checksum", None)
            (copy / key).write_bytes(json.dumps(document).encode())
    found = look(copy)
    assert found.faults == ()
    assert "not sealed" in found.notes[0]


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"ds\.zarr is not there"):
        look(tmp_path / "ds.zarr")
    (tmp_path / "ds.zarr").mkdir()
    (tmp_path / "ds.zarr/file").write_text("hello")
    with pytest.raises(InvalidInput, match="is not a Zarr v3 group"):
        look(tmp_path / "ds.zarr")


def test_every_fault_says_what_to_do(copy: Path) -> None:
    for key in ("images/a/weights/c/0/0/0", "zarr.json", "tiles/y0/c/0", "tiles/split/zarr.json"):
        (copy / key).unlink()
    (copy / "images/a/image/c/0/0/0/0").write_bytes(b"short")
    to_do = {fault.path: fault.to_do for fault in look(copy).faults}
    assert to_do == {
        "images/a/image/c/0/0/0/0": f"delete it (unetprep verify {copy} --repair does), then repeat: unetprep import"
        f" --image IMAGES --labels LABELS --out {copy}, with the same options",
        "images/a/weights/c/0/0/0": f"repeat: unetprep weights --out {copy}, with the same options",
        "tiles/y0/c/0": f"repeat: unetprep tiles --out {copy}, with the same options",
        "tiles/split/zarr.json": f"repeat: unetprep tiles --out {copy}, with the same options",
        "zarr.json": "restore it from a copy, or make the store again",
    }


def test_the_layout_has_a_place_for_all_that_the_stages_write(made: Path) -> None:
    store = Store(str(made))
    for key in tree(made):
        path = key.removesuffix("zarr.json").rstrip("/")
        if key.endswith("zarr.json") and store.record(path).get("stage"):
            kind = kind_of(path)
            assert kind, path
            assert store.shards(path).dtype.name in kind.dtypes
