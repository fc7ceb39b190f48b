"""What a preview shows is what stands in the store, and the distances are those of the whole image."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from tests import reference
from tests.pipeline.conftest import LOCAL
from tests.synthetic import cell_labels
from unetprep.engine.importing import import_images
from unetprep.engine.run import run_stage
from unetprep.errors import InvalidInput
from unetprep.format import layout
from unetprep.format.boxes import Box
from unetprep.params import ImportParams, WeightsParams
from unetprep.previews import weights as preview
from unetprep.previews.weights import View, select
from unetprep.stages import STAGES
from unetprep.store import Store


def counted(read: Callable[..., Any], seen: list[tuple[str, int]]) -> Callable[..., Any]:
    """The same, noting how much is read of what."""

    def reading(store: Store, path: str, box: Box) -> NDArray[Any]:
        block: NDArray[Any] = read(store, path, box)
        seen.append((path, block.size))
        return block

    return reading


def weigh(store: Store, **options: Any) -> None:
    run_stage(store, STAGES["weights"], WeightsParams(**options), LOCAL)


def test_a_window_shows_the_store_and_the_distances_of_the_whole_image(store: Store) -> None:
    weigh(store)
    shown = select(store.url, View("a", at=(20, 31), size_px=48))
    window = np.s_[20:68, 31:79]
    labels = np.asarray(store.array("images/a/labels/instances/instances")[0])
    assert shown.image is not None
    np.testing.assert_array_equal(shown.image[0], np.asarray(store.array("images/a/image")[0, 0])[window])
    np.testing.assert_array_equal(shown.instances, labels[window])
    np.testing.assert_array_equal(shown.target, np.asarray(store.array("images/a/labels/target/target")[0])[window])
    np.testing.assert_array_equal(shown.weights, np.asarray(store.array("images/a/weights")[0])[window])
    distances = reference.two_nearest(labels, (1.0, 1.0))[:, *window]
    np.testing.assert_array_equal(shown.distances, np.where(distances < 31, distances, np.inf))
    assert shown.made.class_weights == tuple(store.record("images/a/weights")["parameters"]["class_weights"])


def test_a_slice_of_a_volume_has_the_distances_of_the_volume(tmp_path: Path) -> None:
    labels = np.stack([cell_labels((40, 50), 9, seed, radius=8) for seed in range(5)]).astype(np.int32)
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    url = str(tmp_path / "ds.zarr")
    import_images(url, [], [str(tmp_path / "labels.tif")], ImportParams(dims=3), LOCAL)
    weigh(Store.open(url), spacing=(4, 1, 1))
    shown = select(url, View())
    assert (shown.z, shown.image, shown.weights.shape) == (2, None, (40, 50))
    distances = reference.two_nearest(labels, (4.0, 1.0, 1.0))[:, 2]
    np.testing.assert_allclose(shown.distances, np.where(distances < 31, distances, np.inf))


def test_the_window_lies_where_the_border_term_is_largest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(layout.PIXEL_CHUNK, 2, (1, 64, 64))
    monkeypatch.setitem(layout.PIXEL_SHARD, 2, (1, 128, 128))
    labels = np.zeros((300, 400), np.int32)
    labels[20:60, 20:60], labels[200:240, 300:320], labels[200:240, 322:342] = 1, 2, 3
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    url = str(tmp_path / "ds.zarr")
    import_images(url, [], [str(tmp_path / "labels.tif")], ImportParams(), LOCAL)
    weigh(Store.open(url))
    read: list[tuple[str, int]] = []
    monkeypatch.setattr(Store, "read", counted(Store.read, read))
    monkeypatch.setattr(preview, "MAX_SHARDS", 2)
    shown = select(url, View(size_px=64))
    searched = [path for path, num_pixels in read if path.endswith("/weights") and num_pixels > 64 * 64]
    assert len(searched) <= 2
    assert max(num_pixels for _, num_pixels in read) <= max(128**2, (64 + 2 * 31) ** 2)
    assert {2, 3} <= set(np.unique(shown.instances))
    weigh_all = select(url, View(size_px=2048))
    np.testing.assert_array_equal(weigh_all.instances, labels)


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ({"image": "c"}, "holds no image 'c'\n  allowed: a, b"),
        ({"z": 1}, "z is 1\n  allowed: 0 to 0, the slices of a"),
        ({"at": (90, 0)}, "at is 90,0\n  allowed: Y from 0 to 89 and X from 0 to 129, the pixels of a"),
        ({"at": (0, -1)}, "at is 0,-1"),
        ({"size_px": 8}, "size is 8 pixels\n  allowed: 16 to 2048"),
    ],
)
def test_what_is_not_there_is_named(store: Store, view: dict[str, object], message: str) -> None:
    weigh(store)
    with pytest.raises(InvalidInput, match=message):
        select(store.url, View(**view))  # type: ignore[arg-type]


def test_weights_come_first(store: Store) -> None:
    with pytest.raises(InvalidInput, match=r"images/a/weights is missing in .*\n  to do:   run: unetprep weights"):
        select(store.url, View())


def test_ignored_pixels_are_no_cell(tmp_path: Path) -> None:
    labels = cell_labels((60, 70), 9).astype(np.int32)
    labels[10:25, 20:50] = 999
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    url = str(tmp_path / "ds.zarr")
    import_images(url, [], [str(tmp_path / "labels.tif")], ImportParams(ignore_label=999), LOCAL)
    weigh(Store.open(url))
    shown = select(url, View())
    np.testing.assert_array_equal(shown.instances == -1, labels == 999)
    distances = reference.two_nearest(np.where(labels == 999, 0, labels), (1.0, 1.0))
    np.testing.assert_array_equal(shown.distances, np.where(distances < 31, distances, np.inf))


def test_without_two_cells_that_are_near_the_window_has_the_most_of_cells(tmp_path: Path) -> None:
    labels = np.zeros((200, 260), np.int32)
    labels[150:190, 200:240], labels[10:20, 10:20] = 1, 2
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    url = str(tmp_path / "ds.zarr")
    import_images(url, [], [str(tmp_path / "labels.tif")], ImportParams(), LOCAL)
    weigh(Store.open(url))
    assert (select(url, View(size_px=64)).instances == 1).sum() == 1600


def test_a_stack_shows_the_slice_that_is_asked_for(tmp_path: Path) -> None:
    """Its slices are independent: the distances are those of the slice alone."""
    labels = np.stack([cell_labels((40, 50), 9, seed, radius=8) for seed in range(5)]).astype(np.int32)
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    url = str(tmp_path / "ds.zarr")
    import_images(url, [], [str(tmp_path / "labels.tif")], ImportParams(), LOCAL)
    weigh(Store.open(url))
    assert select(url, View()).z == 2
    shown = select(url, View(z=1))
    np.testing.assert_array_equal(shown.instances, labels[1])
    distances = reference.two_nearest(labels[1], (1.0, 1.0))
    np.testing.assert_array_equal(shown.distances, np.where(distances < 31, distances, np.inf))


def test_weights_that_do_not_say_how_they_were_made(store: Store) -> None:
    weigh(store)
    store.update_record("images/a/weights", parameters={"w0": 10.0})
    with pytest.raises(InvalidInput, match=r"'formula' is missing or unknown\n.*unetprep weights .*--overwrite"):
        select(store.url, View())
