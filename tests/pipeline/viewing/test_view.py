"""The pixels, ranges and places that a viewer serves are those of the store."""

import re
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

import unetprep
from tests.pipeline.viewing.conftest import Client, key_of
from tests.synthetic import cell_image, cell_labels
from unetprep.errors import InvalidInput
from unetprep.storage.local import LocalStorage
from unetprep.storage.registry import open_storage
from unetprep.store import Store

LABELS = cell_labels((90, 130), 25)
NUM_SMALL = 16


def channels(labels: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """An image (c, ...) of two channels."""
    return np.stack([cell_image(labels, seed) for seed in (1, 2)])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with weights, of two channels: an image with ignored pixels, a volume, and a stack of 16 images."""
    store = str(tmp_path_factory.mktemp("stored") / "ds.zarr")
    labels = LABELS.astype(np.int32)
    labels[:9, :9] = -1
    volume = np.stack([cell_labels((40, 30), 5, seed) for seed in range(6)])
    small = {f"s{k:02}": cell_labels((20 + k, 30), 4, k) for k in range(NUM_SMALL)}
    flat = unetprep.ImportParams(axes="cyx", ignore_label=-1)
    unetprep.import_images(store, {"two": channels(LABELS)}, {"two": labels}, flat)
    unetprep.import_images(store, {"vol": channels(volume)}, {"vol": volume}, unetprep.ImportParams(dims=3))
    unetprep.import_images(store, {name: channels(cells) for name, cells in small.items()}, small, flat)
    unetprep.weights(store)
    return store


def stored(url: str, path: str) -> NDArray[Any]:
    store = Store.open(url)
    return store.read(path, tuple(map(slice, store.shards(path).shape)))


def test_every_layer_has_the_values_of_the_store(url: str) -> None:
    with unetprep.view(url) as viewing:
        client = Client(viewing)
        layers = client.layers()
        assert viewing.url.startswith("http://127.0.0.1:")
        assert list(layers) == viewing.layers == ["image", "labels", "target", "weights"]
        labels = stored(url, "images/two/labels/instances/instances")
        np.testing.assert_array_equal(client.values(layers["image"]), stored(url, "images/two/image"))
        np.testing.assert_array_equal(client.values(layers["weights"]), stored(url, "images/two/weights"))
        np.testing.assert_array_equal(client.values(layers["target"]), stored(url, "images/two/labels/target/target"))
        np.testing.assert_array_equal(client.values(layers["labels"]).astype(np.int32), labels)
        np.testing.assert_array_equal(client.values(layers["labels"], 4).astype(np.int32), labels[:, ::4, ::4])
        assert (labels == -1).any()
        assert layers["labels"]["segmentColors"] == {str(2**32 - 1): "#808080"}
        assert b"<html" in client.get(f"v/{client.token}/").lower()


def test_ranges_are_those_of_the_network_and_of_the_weights(url: str) -> None:
    store = Store.open(url)
    low, high = store.image_record("two")["intensity"]
    made = store.record("images/two/weights")["parameters"]
    with unetprep.view(url) as viewing:
        layers = Client(viewing).layers()
    for c in (0, 1):
        assert f"channel_{c}(range=[{low:g}, {high:g}], channel={c})" in layers["image"]["shader"]
    top = max(made["class_weights"]) + made["w0"]
    assert f"weight(range=[0, {top:.9g}])" in layers["weights"]["shader"]
    assert stored(url, "images/two/weights").max() <= top


def test_a_volume_keeps_its_slices_and_is_averaged_along_z_but_a_stack_of_slices_is_not(url: str) -> None:
    with unetprep.view(url, "vol") as viewing:
        client = Client(viewing)
        layers = client.layers()
        np.testing.assert_array_equal(client.values(layers["weights"]), stored(url, "images/vol/weights"))
        assert client.info(layers["image"])["downsamplingLayout"] == "3d"
        assert client.state()["layout"]["children"][0]["layout"] == "4panel"
    with unetprep.view(url, "stacks/0") as viewing:
        client = Client(viewing)
        image = client.layers()["image"]
        np.testing.assert_array_equal(client.values(image), stored(url, "stacks/0/image"))
        assert client.info(image)["downsamplingLayout"] == "2d"


def test_an_image_of_a_stack_has_its_own_slice_and_sides(url: str) -> None:
    with unetprep.view(url, "s03") as viewing:
        client = Client(viewing)
        layers = client.layers()
        assert client.info(layers["image"])["shape"] == [2, 1, 23, 30]
        np.testing.assert_array_equal(client.values(layers["image"])[:, 0], channels(cell_labels((23, 30), 4, 3)))
        z = Store.open(url).place("s03").first
        np.testing.assert_array_equal(client.values(layers["weights"])[0], stored(url, "stacks/0/weights")[z, :23, :30])


def test_a_prediction_is_labels_or_probabilities_of_the_same_size(url: str, tmp_path: Path) -> None:
    probability = np.random.default_rng(0).random(LABELS.shape, np.float32)
    tifffile.imwrite(tmp_path / "p.tif", probability)
    np.save(tmp_path / "cells.npy", LABELS)
    with unetprep.view(url, prediction=tmp_path / "p.tif") as viewing:
        client = Client(viewing)
        layer = client.layers()["prediction"]
        assert layer["type"] == "image"
        np.testing.assert_array_equal(client.values(layer)[0, 0], probability)
    with unetprep.view(url, prediction=tmp_path / "cells.npy") as viewing:
        client = Client(viewing)
        layer = client.layers()["prediction"]
        assert layer["type"] == "segmentation"
        np.testing.assert_array_equal(client.values(layer)[0], LABELS)
        assert [group["layers"] for group in client.state()["layout"]["children"]] == [
            ["image", "labels", "target"], ["image", "weights"], ["image", "prediction"]
        ]  # fmt: skip
    with pytest.raises(InvalidInput, match=r"(?s)p\.tif has the size 1 x 90 x 130.*that of vol, 6 x 40 x 30"):
        unetprep.view(url, "vol", prediction=tmp_path / "p.tif")


def test_only_the_chunks_that_are_looked_at_are_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read, boxes = Store.read, list[tuple[slice, ...]]()

    def noting(store: Store, path: str, box: tuple[slice, ...], *more: Any) -> NDArray[Any]:
        boxes.append(box)
        return read(store, path, box, *more)

    monkeypatch.setattr(Store, "read", noting)
    with unetprep.view(url) as viewing:
        client = Client(viewing)
        key = key_of(client.layers()["labels"])
        assert not boxes
        client.get(f"neuroglancer/npz/{key}/1,1,1/0,8,16/1,24,48")
    assert boxes == [(slice(0, 1), slice(8, 24), slice(16, 48))]


def test_a_store_at_a_url_is_shown(url: str) -> None:
    remote = open_storage("memory://viewed/ds.zarr")
    source = LocalStorage(url)
    for key, _ in source.listing():
        remote.put(key, source.get(key))
    with unetprep.view("memory://viewed/ds.zarr") as viewing:
        client = Client(viewing)
        np.testing.assert_array_equal(client.values(client.layers()["image"]), stored(url, "images/two/image"))


def test_what_cannot_be_read_is_told_in_the_page(url: str, tmp_path: Path) -> None:
    unetprep.import_images(str(tmp_path / "ds.zarr"), {"a": cell_image(LABELS)}, {"a": LABELS})
    with unetprep.view(tmp_path / "ds.zarr") as viewing:
        client = Client(viewing)
        layer = client.layers()["image"]
        (tmp_path / "ds.zarr/images/a/image/c/0/0/0/0").unlink()
        with pytest.raises(HTTPError, match="400"):
            client.values(layer)
        assert "is missing" in viewing.page.config_state.state.status_messages["unetprep"]


def test_the_address_holds_a_secret(url: str) -> None:
    with unetprep.view(url) as viewing:
        client = Client(viewing)
        key = key_of(client.layers()["image"])
        for path in ("v/guessed/", f"neuroglancer/info/guessed.{key.partition('.')[2]}", "events/guessed?c=x&gs=&gc="):
            with pytest.raises(HTTPError, match="404"):
                client.get(path)
    with pytest.raises(OSError, match=r"refused|reset"):
        client.get(f"v/{client.token}/")


def test_what_cannot_be_shown_is_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="holds no image 'nobody'"):
        unetprep.view(url, "nobody")
    with pytest.raises(InvalidInput, match="port is 65536"):
        unetprep.view(url, port=65536)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInput, match=rf"port {port} of 127.0.0.1 cannot be opened: .*[Aa]ddress"):
            unetprep.view(url, port=port)
    monkeypatch.setitem(sys.modules, "neuroglancer", None)
    monkeypatch.delitem(sys.modules, "unetprep.viewing.page")
    with pytest.raises(InvalidInput, match=re.escape("pip install 'unetprep[view]'")):
        unetprep.view(url)
