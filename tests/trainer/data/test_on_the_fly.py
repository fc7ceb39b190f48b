"""Virtual tiles: the windows of the images that stored tiles are copies of."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.pipeline.conftest import LOCAL, save
from tests.synthetic import cell_image, cell_labels
from unetprep.engine.importing import import_images
from unetprep.engine.run import run_stage
from unetprep.params import DeformParams, ImportParams, TilesParams, WeightsParams
from unetprep.stages import STAGES
from unetprep.store import Store
from unettrain.augment.draw import NO_AUGMENTATION
from unettrain.config import Augmentation
from unettrain.data.chunk_reader import ChunkReader
from unettrain.data.opening import open_tiles
from unettrain.errors import Failure, InvalidInput
from unettrain.stream.tile_stream import TileStream

TILES = TilesParams(tile_px=108, depth=3, margin_px=16, instances=True)
SHAPES = {"a": (150, 170), "b": (1, 40), "c": (33, 1), "d": (2, 5), "e": (300, 61), "f": (29, 29)}
Make = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Two stores of the same images: with stored tiles, and with virtual ones."""

    def stores(params: TilesParams = TILES, dims: int = 2, channels: int = 0) -> tuple[str, str]:
        folder = tmp_path_factory.mktemp("virtual")
        for kind in ("images", "masks"):
            (folder / kind).mkdir()
        for k, (name, shape) in enumerate(SHAPES.items()):
            labels = cell_labels(shape, max(1, shape[0] * shape[1] // 500), seed=k, radius=5)
            image = cell_image(labels).astype(int) * (200 if name == "b" and not channels else 1)
            if channels:
                image = np.stack([image] * channels, axis=-1)
            if dims == 3:
                labels, image = np.stack([labels, labels.T.reshape(shape)]), np.stack([image, image[::-1]])
            save(
                folder / "images" / f"{name}.npy", image.astype(np.uint16 if name == "b" and not channels else np.uint8)
            )
            save(folder / "masks" / f"{name}.npy", labels)
        urls = str(folder / "stored.zarr"), str(folder / "virtual.zarr")
        for url, virtual in zip(urls, (False, True), strict=True):
            import_images(
                url,
                [str(folder / "images")],
                [str(folder / "masks")],
                ImportParams(dims=dims, val_fraction=0.2),
                LOCAL,
            )
            store = Store.open(url)
            run_stage(store, STAGES["weights"], WeightsParams(sigma=3.0), LOCAL)
            run_stage(store, STAGES["deform"], DeformParams(fields=10, sigma_px=3.0), LOCAL)
            run_stage(store, STAGES["tiles"], replace(params, index_only=virtual), LOCAL)
        return urls

    return stores


@pytest.fixture(scope="module")
def pair(make: Make) -> tuple[str, str]:
    return make()


def same_tiles(stored: str, virtual: str, instances: bool) -> None:
    a, b = open_tiles(stored), open_tiles(virtual)
    assert (a.geometry, a.names, a.intensity_rule, a.rule) == (b.geometry, b.names, b.intensity_rule, b.rule)
    for left, right in ((a.split, b.split), (a.intensity, b.intensity), (a.density, b.density)):
        np.testing.assert_array_equal(left, right)
    with_cells = b.empty(True)
    for k in np.random.default_rng(0).permutation(len(a.split)).tolist():
        x, y = a.read(k), b.read(k)
        assert x.intensity == y.intensity
        for name in ("image", "target", "weights"):
            left, right = getattr(x, name), getattr(y, name)
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)
        if instances:
            np.testing.assert_array_equal(a.read(k, a.empty(True)).instances, b.read(k, with_cells).instances)


def test_virtual_tiles_are_the_stored_ones_bit_for_bit(pair: tuple[str, str]) -> None:
    """Of images larger and smaller than a tile, one pixel wide, odd, and of two dtypes."""
    same_tiles(*pair, instances=True)


@pytest.mark.parametrize("how", [{"stride_px": 5}, {"random": 50}, {"margin_px": 0}, {"margin_px": 130}])
def test_so_are_those_that_overlap_lie_at_random_or_reach_far(make: Make, how: dict[str, int]) -> None:
    same_tiles(*make(replace(TILES, **how)), instances=True)  # type: ignore[arg-type]


def test_so_are_those_of_volumes_and_of_colours(make: Make) -> None:
    same_tiles(*make(replace(TILES, instances=False), dims=3), instances=False)
    same_tiles(*make(channels=3), instances=True)


@pytest.mark.parametrize("augmentation", [Augmentation(), replace(NO_AUGMENTATION, recompute_weights=True)])
def test_a_stream_of_them_gives_the_same_batches(pair: tuple[str, str], augmentation: Augmentation) -> None:
    streams = [TileStream(url, batch_size=3, augmentation=augmentation, num_steps=9, num_threads=3) for url in pair]
    for stored, virtual in zip(*streams, strict=True):
        for name in ("image", "target", "weights", "indices"):
            np.testing.assert_array_equal(getattr(stored, name), getattr(virtual, name))


def test_a_small_cache_gives_the_same_and_holds_what_it_may(pair: tuple[str, str]) -> None:
    _, url = pair
    wide, narrow = open_tiles(url), open_tiles(url, cache_bytes=1)
    for k in range(len(wide.split)):
        np.testing.assert_array_equal(wide.read(k).image, narrow.read(k).image)
    assert narrow.pixels._decoded.num_bytes == 0  # type: ignore[attr-defined]
    assert wide.pixels._decoded.num_bytes > 2**20  # type: ignore[attr-defined]


def test_a_chunk_is_decoded_once_while_it_is_kept(pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    tiles, decoded = open_tiles(pair[1]), []
    read = ChunkReader.read

    def noted(self: ChunkReader, place: tuple[int, ...], out: np.ndarray) -> None:
        decoded.append((self.path, place))
        read(self, place, out)

    monkeypatch.setattr(ChunkReader, "read", noted)
    for _ in range(2):
        for k in range(len(tiles.split)):
            tiles.read(k)
    assert len(decoded) == len(set(decoded)) > 0


def test_images_that_were_made_anew_are_refused_when_they_are_opened(make: Make) -> None:
    _, url = make()
    tiles = open_tiles(url)
    run_stage(Store.open(url), STAGES["weights"], WeightsParams(sigma=2.0), LOCAL, overwrite=True)
    with pytest.raises(Failure, match=r"images/a/weights of .* was replaced after its tiles were placed") as caught:
        tiles.read(0)
    assert "unetprep tiles --out" in str(caught.value)
    with pytest.raises(InvalidInput, match=r"tiles/foreground of .* is stale"):
        open_tiles(url)


def test_a_damaged_image_is_named(make: Make) -> None:
    _, url = make()
    tiles = open_tiles(url)
    file = Path(url, "images/a/image/c/0/0/0/0")
    data = bytearray(file.read_bytes())
    data[10] ^= 1
    file.write_bytes(data)
    with pytest.raises(Failure, match=r"images/a/image/c/0/0/0/0 cannot be read: a checksum .* is wrong"):
        tiles.read(0)


def test_the_command_that_makes_them_anew_is_theirs(pair: tuple[str, str]) -> None:
    with pytest.raises(InvalidInput, match=r"--margin \d+ --index-only --instances --overwrite"):
        TileStream(pair[1], augmentation=Augmentation(shift=100.0))


def test_virtual_tiles_have_no_arrays_of_pixels(pair: tuple[str, str]) -> None:
    group = zarr.open_group(pair[1], path="tiles", mode="r")
    names = {*group.array_keys()}
    assert not {"image", "target", "weights", "instances"} & names
    assert {"image_index", "foreground", "density"} <= names
