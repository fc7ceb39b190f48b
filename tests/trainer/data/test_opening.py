"""The reader of the store: what it gives, and what it refuses."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from unettrain.data.opening import image_names, open_fields, open_image, open_tiles
from unettrain.errors import Failure, InvalidInput, UnettrainError
from unettrain.stream.tile_stream import TileStream

MakeStore = Callable[..., Path]


def change(store: Path, path: str, **values: Any) -> None:
    """Change our attributes of a group or an array; a value of None takes the key away."""
    node = zarr.open(store, path=path, mode="r+")
    ours: Any = node.attrs["unetprep"]
    node.attrs["unetprep"] = {k: v for k, v in (ours | values).items() if v is not None}


def test_it_reads_the_geometry_and_the_tiles(make_store: MakeStore) -> None:
    store = make_store()
    tiles = open_tiles(str(store))
    assert (tiles.tile_px, tiles.output_px, tiles.margin_px, tiles.depth, tiles.num_channels) == (60, 20, 8, 2, 1)
    assert tiles.names == ("cells0", "cells1", "cells2")
    assert [len(tiles.indices(split)) for split in ("train", "val", "test")] == [9 + 4, 4, 0]
    stored, root = tiles.read(3), zarr.open_group(store, mode="r")
    for name, array in (("image", stored.image), ("target", stored.target), ("weights", stored.weights)):
        whole = root[f"tiles/{name}"]
        assert isinstance(whole, zarr.Array)
        np.testing.assert_array_equal(array, np.asarray(whole[:])[3])
    assert stored.intensity == (0.0, 255.0)
    assert open_fields(store).grids.shape == (5, 2, 3, 3)


def test_it_reads_images(make_store: MakeStore) -> None:
    store = make_store()
    image = open_image(store, "cells2")
    assert image_names(store) == ("cells0", "cells1", "cells2")
    assert (image.pixels.shape, image.intensity, image.dims, image.split) == ((1, 1, 40, 40), (0.0, 255.0), 2, "val")
    with pytest.raises(InvalidInput, match="no image 'liver'\n  allowed: cells0, cells1, cells2"):
        open_image(store, "liver")
    shutil.rmtree(store / "images")
    assert image_names(store) == ()


@pytest.mark.parametrize("version", [0, 3, "1"])
def test_another_format_version_is_refused_by_name(make_store: MakeStore, version: object) -> None:
    store = make_store()
    change(store, "", format_version=version)
    with pytest.raises(InvalidInput, match=f"format version {version}\n  allowed: 1 or 2, which this unettrain reads"):
        open_tiles(store)


def test_missing_stages_name_their_commands(make_store: MakeStore) -> None:
    store = make_store(num_fields=0)
    with pytest.raises(InvalidInput, match=rf"has no fields/grids\n.*unetprep deform --out {store} .*--no-deform"):
        open_fields(store)
    shutil.rmtree(store / "tiles")
    with pytest.raises(InvalidInput, match=rf"has no tiles/image_index\n  to do:   unetprep tiles --out {store}$"):
        open_tiles(store)


@pytest.mark.parametrize("name", ["image", "target", "weights", "split", "intensity_low", "intensity_high"])
def test_an_unfinished_array_is_refused(make_store: MakeStore, name: str) -> None:
    store = make_store()
    change(store, f"tiles/{name}", complete=False)
    with pytest.raises(
        InvalidInput, match=f"tiles/{name} of .* is not finished\n.*run it again to continue: unetprep tiles"
    ):
        open_tiles(store)


def test_an_array_without_our_record_is_refused(make_store: MakeStore) -> None:
    store = make_store()
    change(store, "fields/grids", complete=None)
    with pytest.raises(InvalidInput, match=r"fields/grids of .* is not finished"):
        open_fields(store)


@pytest.mark.parametrize(
    ("replaced", "stale", "stage"),
    [
        ("images/cells1/image", "tiles/image", "tiles"),
        ("images/cells0/weights", "tiles/weights", "tiles"),
        ("images/cells0/labels/target/target", "tiles/target|images/cells0/weights", "(tiles|weights)"),
    ],
)
def test_tiles_of_something_since_replaced_are_refused(
    make_store: MakeStore, replaced: str, stale: str, stage: str
) -> None:
    store = make_store()
    change(store, replaced, fingerprint="another")
    with pytest.raises(InvalidInput, match=rf"({stale}) of .* is stale.*{replaced}[^$]*unetprep {stage} .*--overwrite"):
        open_tiles(store)


def test_staleness_is_seen_at_one_remove(make_store: MakeStore) -> None:
    store = make_store()
    change(store, "images/cells0/weights", inputs={"images/cells0/image": "as it was"})
    with pytest.raises(
        InvalidInput, match=r"images/cells0/weights of .* is stale[^$]*unetprep weights --out .* --overwrite"
    ):
        open_tiles(store)


def test_tiles_may_travel_without_the_images(make_store: MakeStore) -> None:
    store = make_store()
    shutil.rmtree(store / "images")
    assert open_tiles(store).tile_px == 60


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tile": 61}, "claim tile 61"),
        ({"output": 24}, "allowed: output 20"),
        ({"margin": 4}, "have shapes"),
        ({"depth": None}, "lack depth"),
    ],
)
def test_a_geometry_that_contradicts_itself_is_refused(
    make_store: MakeStore, values: dict[str, Any], message: str
) -> None:
    store = make_store()
    change(store, "tiles", **values)
    with pytest.raises(InvalidInput, match=message):
        open_tiles(store)


def test_fields_of_another_kind_are_refused(make_store: MakeStore) -> None:
    store = make_store()
    change(store, "fields/grids", interpolation="linear")
    with pytest.raises(InvalidInput, match="interpolation linear\n  allowed: cubic-bspline"):
        open_fields(store)


@pytest.mark.parametrize("path", ["tiles/split", "tiles/intensity_high", "tiles/density", "fields/grids"])
@pytest.mark.parametrize("how", ["gone", "empty", "flipped"])
def test_a_small_array_that_is_missing_or_damaged_is_named(make_store: MakeStore, path: str, how: str) -> None:
    store = make_store()
    (file,) = (f for f in (store / path / "c").rglob("*") if f.is_file())
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 8
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes(data if how == "flipped" else b"")
    key = file.relative_to(store).as_posix()
    with pytest.raises(Failure, match=f"{key} is missing" if how == "gone" else f"{key} cannot be read: "):
        TileStream(store)


@pytest.mark.parametrize("path", ["zarr.json", "tiles/zarr.json", "tiles/split/zarr.json", "tiles/image/zarr.json"])
def test_a_damaged_document_is_one_error(make_store: MakeStore, path: str) -> None:
    store = make_store()
    file = store / path
    text = file.read_text()
    for damaged in (text[: len(text) // 2], "", "[]"):
        file.write_text(damaged)
        with pytest.raises(UnettrainError):
            open_tiles(store)


def test_a_density_that_is_not_finished_is_none(make_store: MakeStore) -> None:
    store = make_store()
    array = zarr.open_array(str(store), path="tiles/density", mode="r+")
    array.attrs["unetprep"] = {**array.attrs["unetprep"], "complete": False}  # type: ignore[dict-item]
    assert open_tiles(store).density is None
    with pytest.raises(InvalidInput, match="do not record how much foreground"):
        TileStream(store, sampling="foreground")
