"""Names and paths in the documents of a store stay inside of it, and links in it are not followed for writing."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.pipeline.conftest import LOCAL, tree
from unetprep.engine.run import run_stage
from unetprep.errors import InvalidInput
from unetprep.format.metadata import encode, parse_document
from unetprep.params import WeightsParams
from unetprep.sources import open_source
from unetprep.stages import STAGES
from unetprep.storage.fsspec_store import FsspecStorage
from unetprep.storage.local import LocalStorage
from unetprep.store import Store
from unettrain.data.opening import image_names
from unettrain.data.store import recorded
from unettrain.errors import InvalidInput as InvalidForTraining


def test_a_folder_refuses_keys_that_leave_it(tmp_path: Path) -> None:
    folder, secret = LocalStorage(str(tmp_path / "root")), tmp_path / "other/file"
    secret.parent.mkdir()
    secret.write_bytes(b"1")
    for key in ("../other/file", str(secret), "a/../../other/file"):
        for act in (folder.get, folder.delete, lambda k: folder.put(k, b"2"), lambda k: folder.put_if_absent(k, b"2")):
            with pytest.raises(InvalidInput, match="cannot be a path below it"):
                act(key)
        with pytest.raises(InvalidInput, match="cannot be a path below it"):
            list(folder.listing(key))
        with pytest.raises(InvalidInput, match="cannot be a path below it"):
            folder.get_ranges(key, [(0, 1)])
    assert secret.read_bytes() == b"1"
    with pytest.raises(InvalidInput, match="cannot be a path below it"):
        FsspecStorage("memory://root/x").put("../y", b"1")


def test_links_are_read_through_and_not_written_through(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_bytes(b"1")
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to("real")  # a root may be a link
    folder = LocalStorage(str(tmp_path / "root"))
    folder.put("a", b"2")
    (tmp_path / "real/out").symlink_to(other)
    (tmp_path / "real/link").symlink_to(other / "file")
    (tmp_path / "real/nothing").symlink_to(other / "absent")
    assert folder.get("out/file") == folder.get("link") == b"1"
    for act in (folder.delete, lambda k: folder.put(k, b"2"), lambda k: folder.put_if_absent(k, b"2")):
        with pytest.raises(PermissionError, match=r"(?s)root/out is a symbolic link: .* to do:"):
            act("out/file")
    folder.put("link", b"3")  # takes the place of the link
    folder.delete("out")
    assert {key for key, _ in folder.listing()} == {"a", "link"}
    assert tree(other) == {"file": b"1"}


def put_record(store: Store, path: str, **values: object) -> None:
    """Change attributes as somebody would who wants them to be believed: with a checksum that fits."""
    file = Path(store.url, path, "zarr.json")
    document = parse_document(file.read_bytes(), "")
    document["attributes"]["unetprep"].update(values)
    file.write_bytes(encode(document))


@pytest.mark.parametrize("name", ["../../other.zarr/images/a", "..", "a/../../../other.zarr/images/a", "zarr.json"])
def test_a_store_that_names_images_outside_of_it_is_refused(store: Store, name: str) -> None:
    other = Path(store.url).with_name("other.zarr")
    shutil.copytree(store.url, other)
    before = tree(other)
    put_record(store, "images", names=[name])
    with pytest.raises(InvalidInput, match=r"images/zarr.json of .*: its attribute names is "):
        run_stage(Store.open(store.url), STAGES["weights"], WeightsParams(), LOCAL, overwrite=True)
    with pytest.raises(InvalidForTraining, match="its attribute names is"):
        image_names(store.url)
    assert tree(other) == before


def test_an_image_that_is_a_link_to_another_store_is_not_written(store: Store) -> None:
    other = Path(store.url).with_name("other.zarr")
    shutil.copytree(store.url, other)
    before = tree(other)
    shutil.rmtree(Path(store.url, "images/a"))
    Path(store.url, "images/a").symlink_to(other / "images/a")
    with pytest.raises(PermissionError, match="images/a is a symbolic link"):
        run_stage(Store.open(store.url), STAGES["weights"], WeightsParams(), LOCAL, overwrite=True)
    assert tree(other) == before


@pytest.mark.parametrize("source", ["images/../../other.zarr/images/a/image", "/etc/images/a"])
def test_inputs_that_lie_outside_are_refused(store: Store, source: str) -> None:
    path = "images/a/labels/instances/instances"
    put_record(store, path, inputs={source: "f" * 64})
    with pytest.raises(InvalidInput, match="cannot be a path below it"):
        Store.open(store.url).state(path)
    with pytest.raises(InvalidForTraining, match="cannot be a path below it"):
        recorded(store.url, source)


def test_an_array_that_was_computed_from_itself_is_not_finished(store: Store) -> None:
    path = "images/a/image"
    put_record(store, path, inputs={path: str(store.record(path)["fingerprint"])})
    assert Store.open(store.url).state(path) == "stale"


@pytest.mark.parametrize(
    "multiscales",
    [
        5,
        {"datasets": 1},
        [None],
        [{"axes": 3, "datasets": [{"path": "0"}]}],
        [{"axes": [{"name": 1}], "datasets": [{"path": "0"}]}],
        [{"datasets": []}],
        [{"datasets": [{"path": 0}]}],
        [{"datasets": [{"path": "../b.zarr/0"}]}],
        [{"datasets": [{"path": "/0"}]}],
    ],
)
def test_ome_attributes_of_another_shape_are_one_error(tmp_path: Path, multiscales: object) -> None:
    for name in ("a.zarr", "b.zarr"):
        zarr.open_group(str(tmp_path / name), mode="w").create_array("0", data=np.eye(2))
    zarr.open_group(str(tmp_path / "a.zarr")).attrs["ome"] = {"multiscales": multiscales}  # type: ignore[dict-item]
    with pytest.raises(InvalidInput, match=r"a\.zarr"):
        open_source(str(tmp_path / "a.zarr"))


@pytest.mark.parametrize("text", ["[]", "5", "null", "{", '"a"', "", "[" * 100_000])
@pytest.mark.parametrize("name", ["zarr.json", ".zgroup", ".zarray", ".zattrs"])
def test_zarr_documents_of_another_type_are_one_error(tmp_path: Path, name: str, text: str) -> None:
    if name == ".zattrs":
        (tmp_path / ".zgroup").write_text('{"zarr_format": 2}')
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInput):
        open_source(str(tmp_path))
