"""Large strips of a TIFF are decoded once and kept, within a bound, as long as the file stays the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.pipeline.conftest import LOCAL
from tests.synthetic import cell_labels
from unetprep.engine.importing import import_images
from unetprep.errors import InvalidInput
from unetprep.format import layout
from unetprep.params import ImportParams
from unetprep.sources import chunk_cache as decoded
from unetprep.sources import open_source
from unetprep.sources.chunk_cache import KEPT_BYTES
from unetprep.sources.formats import tiff, tiff_parts
from unetprep.sources.memory import kept_bytes
from unetprep.storage.lru_cache import ArrayCache
from unetprep.store import Store


@pytest.fixture
def num_read(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Count the boxes that are decoded from a file; nothing is kept of earlier tests, and parts are soon large."""
    read, calls = tiff_parts.read_tiff, []

    def counted(file: Any, shape: Any, box: Any) -> Any:
        calls.append(box)
        return read(file, shape, box)

    monkeypatch.setattr(tiff_parts, "read_tiff", counted)
    monkeypatch.setattr(tiff, "SMALL_TIFF_BYTES", 0)
    monkeypatch.setattr(decoded, "DECODED", ArrayCache(KEPT_BYTES))
    monkeypatch.setattr(decoded, "LARGE_PX", 1000)
    return lambda: len(calls)


def test_an_import_decodes_each_page_of_one_strip_once(
    tmp_path: Path, num_read: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(layout.PIXEL_CHUNK, 2, (1, 16, 16))
    monkeypatch.setitem(layout.PIXEL_SHARD, 2, (1, 32, 32))
    labels = np.stack([cell_labels((90, 70), 9, seed) for seed in range(2)])
    tifffile.imwrite(tmp_path / "y.tif", labels, compression="deflate", rowsperstrip=90)
    import_images(str(tmp_path / "ds.zarr"), [], [str(tmp_path / "y.tif")], ImportParams(), LOCAL)
    assert 2 <= num_read() <= 4  # two threads may decode one page at the same time
    stored = Store.open(str(tmp_path / "ds.zarr")).array("images/y/labels/instances/instances")[:]
    np.testing.assert_array_equal(stored, labels)


def test_boxes_across_parts_are_those_of_the_file_and_follow_its_changes(
    tmp_path: Path, num_read: Callable[[], int]
) -> None:
    path = tmp_path / "x.tif"
    for seed, rows in ((0, 40), (1, 64)):
        pixels = np.random.default_rng(seed).integers(0, 255, (3, 100, 50 + seed), np.uint8)
        tifffile.imwrite(path, pixels, compression="deflate", rowsperstrip=rows, photometric="minisblack")
        source, before = open_source(str(path)), num_read()
        for z, y, x in ((slice(0, 3), slice(30, 90), slice(7, 50)), (slice(1, 2), slice(0, 100), slice(0, 9))):
            found = source.read((slice(0, 1), z, y, x))[0]
            np.testing.assert_array_equal(found, pixels[z, y, x])
        assert num_read() - before <= 9


def test_small_strips_are_not_kept_and_large_ones_count_as_memory(tmp_path: Path, num_read: Callable[[], int]) -> None:
    pixels = np.zeros((100, 50), np.uint8)
    for rows, kept in ((1, 0), (100, pixels.nbytes)):
        tifffile.imwrite(tmp_path / f"{rows}.tif", pixels, compression="deflate", rowsperstrip=rows)
        assert kept_bytes(open_source(str(tmp_path / f"{rows}.tif"))) == kept


KINDS: dict[str, dict[str, Any]] = {
    "strips": {"rowsperstrip": 7, "compression": "deflate"},
    "tiles": {"tile": (16, 32), "compression": "lzw", "predictor": True},
    "plain": {},
    "big-endian": {"byteorder": ">"},
    "samples apart": {"photometric": "rgb", "planarconfig": "separate", "compression": "deflate"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_file_is_decoded_as_a_whole_to_the_same_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 60_000, (3, 50, 70), np.uint16)
    path = str(tmp_path / "x.tif")
    tifffile.imwrite(path, pixels, **({"photometric": "minisblack"} | KINDS[kind]))
    small = open_source(path)
    boxes = [tuple(slice(0, n) for n in small.shape), (slice(0, 1), slice(0, 1), slice(3, 41), slice(20, 70))]
    found = [small.read(box) for box in boxes]
    assert isinstance(small, tiff.TiffSource)
    assert small.part_shape() == small.file_shape
    monkeypatch.setattr(tiff, "SMALL_TIFF_BYTES", 0)
    monkeypatch.setattr(decoded, "DECODED", ArrayCache(KEPT_BYTES))
    large = open_source(path)
    for box, values in zip(boxes, found, strict=True):
        assert values.dtype == np.uint16
        np.testing.assert_array_equal(values, large.read(box))
    np.testing.assert_array_equal(found[0].ravel(), pixels.ravel())


def test_a_small_file_that_has_another_shape_by_now_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.zeros((50, 70), np.uint8))
    source = open_source(str(path))
    tifffile.imwrite(path, np.zeros((40, 70), np.uint8))
    with pytest.raises(InvalidInput, match=r"x\.tif.*its shape is \(40, 70\), and was \(50, 70\)"):
        source.read(tuple(slice(0, n) for n in source.shape))
