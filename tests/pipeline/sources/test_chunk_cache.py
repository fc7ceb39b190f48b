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
from unetprep.format import layout
from unetprep.params import ImportParams
from unetprep.sources import chunk_cache as decoded
from unetprep.sources import open_source
from unetprep.sources import readers as sources
from unetprep.sources.chunk_cache import KEPT_BYTES
from unetprep.sources.memory import kept_bytes
from unetprep.storage.lru_cache import ArrayCache
from unetprep.store import Store


@pytest.fixture
def num_read(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Count the boxes that are decoded from a file; nothing is kept of earlier tests, and parts are soon large."""
    read, calls = sources._read_tiff_box, []

    def counted(file: Any, box: Any) -> Any:
        calls.append(box)
        return read(file, box)

    monkeypatch.setattr(sources, "_read_tiff_box", counted)
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
