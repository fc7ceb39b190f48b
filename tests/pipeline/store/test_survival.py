"""What was found by killing, replacing and mixing: nothing stale or half-made is ever taken as finished."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaozarrs

from tests.pipeline.conftest import LOCAL, save, tree
from tests.synthetic import cell_image, cell_labels
from unetprep.contents import info
from unetprep.engine.importing import import_images
from unetprep.engine.run import run_stage
from unetprep.errors import Conflict, InvalidInput
from unetprep.format.layout import ArraySpec
from unetprep.format.sharding import Chunks
from unetprep.params import DeformParams, ImportParams, TilesParams, WeightsParams
from unetprep.sources import open_source
from unetprep.sources.layouts.pairs import find_pairs
from unetprep.stages import STAGES
from unetprep.store import Store

TILES = TilesParams(tile_px=60, depth=2, margin_px=8)


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def import_again(files: Path, url: str, **options: object) -> int:
    params = ImportParams(**options)  # type: ignore[arg-type]
    return import_images(url, [str(files / "images")], [str(files / "masks")], params, LOCAL).shards_written


@pytest.mark.parametrize("survived", [0, 1, 2, 3])
def test_an_import_killed_between_any_two_shards_is_finished_by_repeating_it(
    files: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    whole, url = str(files / "whole.zarr"), str(files / "killed.zarr")
    import_again(files, whole)
    write, count = Store.write, 0

    def killing(self: Store, spec: ArraySpec, box: tuple[slice, ...], block: np.ndarray | Chunks) -> None:
        nonlocal count
        if count == survived:
            raise Killed
        count += 1
        write(self, spec, box, block)

    monkeypatch.setattr(Store, "write", killing)
    with pytest.raises(Killed):
        import_again(files, url)
    monkeypatch.setattr(Store, "write", write)
    import_again(files, url)
    assert tree(url) == tree(whole)
    assert import_again(files, url) == 0


def test_a_kill_before_the_last_mark_is_made_good(store: Store) -> None:
    store.update_record("images/a/image", complete=False)
    run = import_again(Path(store.url).parent, store.url)
    assert run == 0
    assert Store(store.url).state("images/a/image") == "finished"


def test_a_lost_shard_is_found_and_written_again(store: Store) -> None:
    run_stage(store, STAGES["weights"], WeightsParams(), LOCAL)
    before = tree(store.url)
    next(p for p in (Path(store.url) / "images/b/weights/c").rglob("*") if p.is_file()).unlink()
    assert run_stage(store, STAGES["weights"], WeightsParams(), LOCAL).shards_written == 1
    assert tree(store.url) == before


def test_shards_of_an_array_whose_metadata_are_gone_are_not_taken_over(store: Store) -> None:
    run_stage(store, STAGES["weights"], WeightsParams(class_weights=(9, 9)), LOCAL)
    for name in ("a", "b"):
        (Path(store.url) / f"images/{name}/weights/zarr.json").unlink()
    store = Store.open(store.url)
    assert run_stage(store, STAGES["weights"], WeightsParams(class_weights=(1, 1), w0=0), LOCAL).shards_written == 2
    assert set(np.unique(store.array("images/a/weights")[:])) == {1}


def test_a_stack_taken_as_a_volume_is_something_else(tmp_path: Path) -> None:
    labels = np.stack([cell_labels((30, 30), 4, seed) for seed in range(3)])
    url, path = str(tmp_path / "ds.zarr"), save(tmp_path / "y.npy", labels)
    import_images(url, [], [path], ImportParams(dims=2), LOCAL)
    run_stage(Store.open(url), STAGES["weights"], WeightsParams(), LOCAL)
    with pytest.raises(Conflict, match="dims is 2 there and 3 now"):
        import_images(url, [], [path], ImportParams(dims=3), LOCAL)
    import_images(url, [], [path], ImportParams(dims=3), LOCAL, overwrite=True)
    with pytest.raises(Conflict, match=r"dims is 2 there and 3 now|from other"):
        run_stage(Store.open(url), STAGES["weights"], WeightsParams(), LOCAL)


def test_channels_of_labels_are_not_slices(tmp_path: Path) -> None:
    labels = np.stack([cell_labels((30, 30), 4, seed) + 10 * seed for seed in range(3)]).astype(np.uint16)
    tifffile.imwrite(tmp_path / "three.tif", labels, photometric="rgb", planarconfig="separate")
    assert open_source(str(tmp_path / "three.tif")).axes == "cyx"
    with pytest.raises(InvalidInput, match=r"(?s)has 3 channels.*--label-channel N.*--label-axes zyx"):
        find_pairs([], [str(tmp_path / "three.tif")])
    ((_, _, source),) = find_pairs([], [str(tmp_path / "three.tif")], ImportParams(label_axes="zyx"))
    assert source.shape == (1, 3, 30, 30)
    ((_, _, source),) = find_pairs([], [str(tmp_path / "three.tif")], ImportParams(label_channel=1))
    np.testing.assert_array_equal(source.read((slice(None),) * 4)[0, 0], labels[1])
    colours = save(tmp_path / "colours.png", np.dstack([np.zeros((9, 9)), np.ones((9, 9)), np.eye(9)]).astype(np.uint8))
    with pytest.raises(InvalidInput, match="has 3 channels"):
        find_pairs([], [colours])


def test_an_image_called_labels_is_valid_ome_zarr_too(tmp_path: Path) -> None:
    url = str(tmp_path / "ds.zarr")
    import_images(url, [], [save(tmp_path / "labels.npy", cell_labels((30, 30), 4))], ImportParams(), LOCAL)
    run_stage(Store.open(url), STAGES["weights"], WeightsParams(), LOCAL)
    yaozarrs.validate_zarr_store(f"{url}/images/labels")


def test_an_image_is_not_imported_whole_and_in_strips(tmp_path: Path) -> None:
    labels = cell_labels((60, 40), 8)
    image, mask = save(tmp_path / "x.npy", cell_image(labels)), save(tmp_path / "y.npy", labels)
    url = str(tmp_path / "ds.zarr")
    import_images(url, [image], [mask], ImportParams(), LOCAL)
    with pytest.raises(Conflict, match="would share pixels with it across the splits"):
        import_images(url, [image], [mask], ImportParams(test_fraction=0.3), LOCAL)


def test_other_splits_make_the_tiles_stale(files: Path, store: Store) -> None:
    run_stage(store, STAGES["weights"], WeightsParams(), LOCAL)
    run_stage(store, STAGES["tiles"], TILES, LOCAL)
    params = ImportParams(test_fraction=0.5)
    source = [str(files / "images")], [str(files / "masks")]
    with pytest.raises(Conflict, match="split is train there and test now"):
        import_images(store.url, *source, params, LOCAL)
    import_images(store.url, *source, params, LOCAL, overwrite=True)
    assert info(store.url).tiles.array.state == "stale"
    with pytest.raises(Conflict, match="of other images, or with other splits, intensity ranges or sizes"):
        run_stage(Store.open(store.url), STAGES["tiles"], TILES, LOCAL)
    with pytest.raises(InvalidInput, match="been replaced since"):
        run_stage(Store.open(store.url), STAGES["tiles"], TILES, LOCAL, overwrite=True)


def test_labels_imported_alone_leave_the_image_as_it_is(files: Path, store: Store) -> None:
    before = store.record("images/a")
    import_images(store.url, [], [str(files / "masks")], ImportParams(), LOCAL, overwrite=True)
    assert Store.open(store.url).record("images/a") == before


@pytest.mark.parametrize("empty", [True, False])
def test_a_strip_may_be_empty_or_hold_one_cell_in_pieces(tmp_path: Path, empty: bool) -> None:
    labels = np.zeros((100, 30), np.uint8)
    labels[5:15, 5:15], labels[30:40, 5:15] = 1, 2
    if not empty:
        labels[90:95, [3, 20]] = 3
    url = str(tmp_path / "ds.zarr")
    import_images(url, [], [save(tmp_path / "y.npy", labels)], ImportParams(test_fraction=0.2), LOCAL)
    assert Store.open(url).names == ["y-train", "y-test"]


def test_dots_in_names_and_hidden_files(tmp_path: Path) -> None:
    for name in ("exp0.5uM.tif", "exp0.7uM.ome.tif", ".hidden.tif", "draw_mask.tif"):
        save(tmp_path / name, cell_labels((30, 30), 4))
    assert [name for name, *_ in find_pairs([], [str(tmp_path)])] == ["draw", "exp0.5uM", "exp0.7uM"]


def test_what_cannot_be_kept_or_told_apart_is_refused(tmp_path: Path) -> None:
    labels = save(tmp_path / "y.npy", cell_labels((30, 30), 4))
    large = save(tmp_path / "x.npy", np.full((30, 30), 2**30 + 1, np.uint32))
    with pytest.raises(InvalidInput, match="which float32 cannot keep exactly"):
        import_images(str(tmp_path / "ds.zarr"), [large], [labels], ImportParams(), LOCAL)
    with tifffile.TiffWriter(tmp_path / "two.tif") as tiff:
        tiff.write(np.zeros((30, 30), np.uint8))
        tiff.write(np.zeros((20, 20), np.uint8))
    with pytest.raises(InvalidInput, match="holds 2 images"):
        open_source(str(tmp_path / "two.tif"))


def test_an_opaque_alpha_channel_is_no_channel(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (9, 9, 4), dtype=np.uint8)
    assert open_source(save(tmp_path / "a.png", pixels)).shape[0] == 4
    pixels[..., 3] = 255
    assert open_source(save(tmp_path / "b.png", pixels)).shape[0] == 3


def test_a_damaged_shard_is_named(store: Store) -> None:
    shard = next(p for p in (Path(store.url) / "images/a/labels/instances/instances/c").rglob("*") if p.is_file())
    shard.write_bytes(bytes([shard.read_bytes()[0] ^ 255]) + shard.read_bytes()[1:])
    with pytest.raises(Exception, match=r"images/a/labels/instances/instances/c/0/0/0: a checksum \(crc32c\)"):
        run_stage(store, STAGES["weights"], WeightsParams(), LOCAL)


def test_five_and_five_point_nought_are_one_parameter() -> None:
    assert WeightsParams(sigma=5) == WeightsParams(sigma=5.0)
    assert isinstance(DeformParams(sigma_px=10).sigma_px, float)
    for bad in (float("inf"), float("nan")):
        with pytest.raises(InvalidInput, match="w0 is"):
            WeightsParams(w0=bad)
    with pytest.raises(InvalidInput, match="seed is"):
        DeformParams(seed=2**70)
