"""Images behind URLs are read as the same files are read from a disk."""

import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import h5py
import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
import zarr

import unetprep
from tests.pipeline.conftest import save
from tests.pipeline.sources.formats.samples import write_n5
from tests.synthetic import cell_labels
from unetprep.engine.importing import import_images
from unetprep.engine.run import Scheduler
from unetprep.errors import Failure, InvalidInput
from unetprep.format.boxes import Box
from unetprep.params import ImportParams
from unetprep.sources import open_source
from unetprep.sources.layouts.pairs import find_pairs
from unetprep.sources.pairing import expand
from unetprep.storage.local import LocalStorage
from unetprep.storage.registry import open_storage


def pixels(*shape: int, dtype: str = "uint8") -> np.ndarray:
    """Smooth, so that JPEG and predictors do something, and different everywhere."""
    grid = np.indices(shape).astype("float64")
    values = sum(np.sin(axis / (5 + i)) * 40 for i, axis in enumerate(grid)) + 100
    return np.asarray(values + np.random.default_rng(0).random(shape) * 20).astype(dtype)


def tiff(*shape: int, dtype: str = "uint8", **options: Any) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        data = pixels(*shape, dtype=dtype) > 100 if dtype == "bool" else pixels(*shape, dtype=dtype)
        tifffile.imwrite(folder / "x.tif", data, **{"photometric": "minisblack", **options})
        return "x.tif"

    return write


def npy(*shape: int, order: str = "C", dtype: str = "uint16") -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        np.save(folder / "x.npy", np.asarray(pixels(*shape, dtype=dtype), order=order))  # type: ignore[call-overload]
        return "x.npy"

    return write


def array(*shape: int, **options: Any) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        zarr.create_array(str(folder / "x.zarr"), data=pixels(*shape, dtype="uint16"), **options)
        return "x.zarr"

    return write


def ome_zarr(zarr_format: Any) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        group = zarr.create_group(str(folder / "x.zarr"), zarr_format=zarr_format)
        group.create_array("0", data=pixels(2, 20, 31))
        scales = [{"axes": [{"name": a} for a in "cyx"], "datasets": [{"path": "0"}]}]
        group.attrs.update({"multiscales": scales} if zarr_format == 2 else {"ome": {"multiscales": scales}})
        return "x.zarr"

    return write


def picture(name: str, *shape: int, dtype: str = "uint8") -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        imageio.imwrite(folder / name, pixels(*shape, dtype=dtype))
        return name

    return write


def pyramid(folder: Path) -> str:
    data = pixels(160, 120)
    with tifffile.TiffWriter(folder / "x.ome.tif") as tiff:
        tiff.write(data, subifds=1, tile=(64, 64), compression="zlib", metadata={"axes": "YX"})
        tiff.write(data[::2, ::2], subfiletype=1, tile=(64, 64), compression="zlib")
    return "x.ome.tif"


def hdf5(folder: Path) -> str:
    with h5py.File(folder / "x.h5", "w") as file:
        file.create_dataset("raw", data=pixels(7, 61, 47), chunks=(2, 16, 16), compression="gzip")
    return "x.h5"


def n5(folder: Path) -> str:
    write_n5(folder / "x.n5", pixels(7, 61, 47), {})
    return "x.n5"


def npz(folder: Path) -> str:
    np.savez_compressed(folder / "x.npz", raw=pixels(61, 47))
    return "x.npz"


FORMATS: dict[str, Callable[[Path], str]] = {
    "tiff pyramid": pyramid,
    "hdf5": hdf5,
    "n5": n5,
    "npz": npz,
    "tiff": tiff(61, 47),
    "tiff bool": tiff(61, 47, dtype="bool"),
    "tiff big-endian": tiff(61, 47, dtype="uint16", byteorder=">"),
    "tiff strips": tiff(61, 47, dtype="uint16", compression="zlib", rowsperstrip=7, predictor=True),
    "tiff tiles": tiff(161, 147, dtype="float32", compression="zstd", tile=(32, 48)),
    "tiff raw tiles": tiff(161, 147, tile=(32, 48)),
    "tiff stack": tiff(7, 61, 47, dtype="float32"),
    "tiff deflated stack": tiff(7, 61, 47, dtype="uint16", compression="zlib", rowsperstrip=16),
    "tiff tiled stack": tiff(5, 100, 90, compression="lzw", tile=(32, 32), bigtiff=True),
    "tiff volume tiles": tiff(20, 61, 47, compression="zlib", tile=(16, 16, 16), volumetric=True),
    "tiff colours": tiff(61, 47, 3, photometric="rgb", compression="zlib", rowsperstrip=9),
    "tiff planes of colours": tiff(3, 61, 47, photometric="rgb", planarconfig="separate", tile=(16, 16)),
    "tiff stack of colours": tiff(4, 61, 47, 3, photometric="rgb", compression="zlib"),
    "tiff jpeg": tiff(161, 147, 3, photometric="ycbcr", compression="jpeg", tile=(32, 48), subsampling=(1, 1)),
    "tiff pages": tiff(4, 61, 47, compression="zlib", metadata=None),
    "imagej": tiff(4, 2, 61, 47, dtype="uint16", imagej=True, metadata={"axes": "ZCYX"}),
    "ome-tiff": tiff(2, 4, 61, 47, compression="zlib", ome=True, metadata={"axes": "CZYX"}),
    "one pixel high": tiff(1, 47, compression="zlib"),
    "npy": npy(61, 47),
    "npy stack": npy(7, 61, 47, dtype=">f4"),
    "npy channels": npy(2, 5, 61, 47),
    "npy colours": npy(61, 47, 3),
    "npy fortran": npy(7, 61, 47, order="F"),
    "zarr 3": array(7, 61, 47, chunks=(3, 20, 20)),
    "zarr 3 sharded": array(61, 47, chunks=(10, 10), shards=(40, 40)),
    "zarr 2": array(7, 61, 47, chunks=(3, 20, 20), zarr_format=2),
    "ome-zarr 0.5": ome_zarr(3),
    "ome-zarr 0.4": ome_zarr(2),
    "png": picture("x.png", 61, 47, dtype="uint16"),
    "png colours": picture("x.PNG", 61, 47, 4),
    "jpeg": picture("x.jpg", 61, 47, 3),
}


def upload(folder: Path, url: str) -> None:
    storage = open_storage(url)
    for key, _ in LocalStorage(str(folder)).listing():
        storage.put(key, (folder / key).read_bytes())


def boxes(shape: tuple[int, ...]) -> Iterator[Box]:
    yield tuple(slice(0, n) for n in shape)
    rng = np.random.default_rng(1)
    for _ in range(6):
        yield tuple(slice(a, int(rng.integers(a + 1, n + 1))) for a, n in ((int(rng.integers(n)), n) for n in shape))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.filterwarnings("ignore:.*:zarr.errors.ZarrUserWarning")
def test_every_format_gives_what_it_gives_from_a_disk(tmp_path: Path, s3: str, kind: str) -> None:
    name = FORMATS[kind](tmp_path)
    upload(tmp_path, s3)
    local, remote = open_source(str(tmp_path / name)), open_source(f"{s3}/{name}")
    assert (remote.shape, remote.dtype, remote.axes) == (local.shape, local.dtype, local.axes)
    for box in boxes(local.shape):
        np.testing.assert_array_equal(remote.read(box), local.read(box))


@pytest.mark.parametrize("kind", ["tiff deflated stack", "npy stack", "zarr 3", "png"])
def test_from_other_filesystems_too(tmp_path: Path, kind: str) -> None:
    url = f"memory://{uuid4().hex}"
    name = FORMATS[kind](tmp_path)
    upload(tmp_path, url)
    local, remote = open_source(str(tmp_path / name)), open_source(f"{url}/{name}")
    for box in boxes(local.shape):
        np.testing.assert_array_equal(remote.read(box), local.read(box))


def test_from_file_urls(tmp_path: Path) -> None:
    name = save(tmp_path / "a b.tif", pixels(9, 9))
    assert open_source((tmp_path / "a b.tif").as_uri()).path == name
    assert expand([tmp_path.as_uri()]) == [name]


def test_threads_share_a_source(tmp_path: Path, s3: str) -> None:
    FORMATS["tiff deflated stack"](tmp_path)
    upload(tmp_path, s3)
    local, remote = open_source(str(tmp_path / "x.tif")), open_source(f"{s3}/x.tif")
    some = list(boxes(local.shape)) * 4
    with ThreadPoolExecutor(8) as threads:
        for box, block in zip(some, threads.map(remote.read, some), strict=True):
            np.testing.assert_array_equal(block, local.read(box))


def test_a_tiff_is_read_in_parts(tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from unetprep.storage.object_store import ObjectStorage

    tiff(20, 400, 400, dtype="uint16", compression="zlib", rowsperstrip=40)(tmp_path)
    upload(tmp_path, s3)
    source, read = open_source(f"{s3}/x.tif"), []
    get_ranges = ObjectStorage.get_ranges

    def count(self: ObjectStorage, key: str, ranges: Any) -> list[bytes]:
        parts = get_ranges(self, key, ranges)
        read.append(sum(map(len, parts)))
        return parts

    monkeypatch.setattr(ObjectStorage, "get_ranges", count)
    monkeypatch.setattr(ObjectStorage, "get", None)
    slice_bytes = (tmp_path / "x.tif").stat().st_size / 20
    source.read((slice(0, 1), slice(3, 5), slice(0, 400), slice(0, 400)))
    assert sum(read) < 2 * slice_bytes + 25 * 2**15  # and where the others lie, read once
    read.clear()
    source.read((slice(0, 1), slice(7, 8), slice(0, 400), slice(0, 400)))
    assert sum(read) < 1.1 * slice_bytes
    read.clear()
    source.read((slice(0, 1), slice(7, 8), slice(202, 210), slice(0, 400)))
    assert sum(read) < 0.2 * slice_bytes


def test_a_file_that_changes_is_read_anew(s3: str, tmp_path: Path) -> None:
    for name in ("x.tif", "x.png", "x.npy"):
        for value in (1, 2):
            path = save(tmp_path / name, np.full((9, 9), value, np.uint8))
            upload(tmp_path, s3)
            assert (open_source(f"{s3}/{name}").read((slice(None),) * 4) == value).all(), path


def test_folders_are_listed_by_the_rules_of_a_disk(tmp_path: Path, s3: str) -> None:
    for name in ("b.tif", "a.PNG", "sub/c.tif", ".hidden.tif", "notes.txt", "d.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save(tmp_path / name, pixels(9, 9)) if "txt" not in name else (tmp_path / name).write_text("x")
    array(9, 9)(tmp_path)
    upload(tmp_path, s3)
    expected = [Path(path).name for path in expand([str(tmp_path)])]
    assert expected == ["a.PNG", "b.tif", "d.npy", "x.zarr"]
    for url in (s3, f"{s3}/"):
        assert expand([url]) == [f"{s3}/{name}" for name in expected]
    assert expand([f"{s3}/x.zarr", f"{s3}/b.tif"]) == [f"{s3}/x.zarr", f"{s3}/b.tif"]
    assert [name for name, *_ in find_pairs([f"{s3}/b.tif"], [str(tmp_path / "d.npy")])] == ["b"]


def test_a_zarr_whose_name_does_not_say_so(tmp_path: Path, s3: str) -> None:
    zarr.create_array(str(tmp_path / "image"), data=pixels(9, 9))
    upload(tmp_path, s3)
    assert expand([f"{s3}/image"]) == [f"{s3}/image"]
    assert open_source(f"{s3}/image").shape == (1, 1, 9, 9)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("no.tif", None, "no.tif is not there"),
        ("no.png", None, "no.png is not there"),
        ("no.npy", None, "no.npy is not there"),
        ("no.zarr", None, "no.zarr is not there"),
        ("cut.tif", b"II*\x00\x08\x00", "cut.tif cannot be read"),
        ("text.tif", b"hello", "text.tif cannot be read"),
        ("text.png", b"hello", "text.png cannot be read"),
        ("text.npy", b"hello", "text.npy cannot be read"),
        ("x.zarr/data", b"1,2", "x.zarr is a folder without a Zarr array"),
    ],
)
def test_unreadable_files_are_named(s3: str, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        open_storage(s3).put(name, content)
    with pytest.raises(InvalidInput, match=message):
        open_source(f"{s3}/{name.partition('/')[0]}")


def test_a_file_that_is_cut_short_is_named(s3: str, tmp_path: Path) -> None:
    for name in ("x.npy", "x.tif"):
        whole = Path(save(tmp_path / name, pixels(90, 90))).read_bytes()
        open_storage(s3).put(name, whole[:-2000])
        with pytest.raises(InvalidInput, match=rf"{name} cannot be read"):
            open_source(f"{s3}/{name}").read((slice(None),) * 4)


@pytest.mark.parametrize("name", ["x.tif", "x.npy", "x.png", "x.zarr", "folder"])
def test_a_refusal_is_no_damage(s3: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(Failure, match=f"(?s)cannot (read|list) {s3}.*set AWS_ACCESS_KEY_ID and"):
        find_pairs([], [f"{s3}/{name}"])


def test_a_web_server_gives_files(tmp_path: Path) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    local = open_source(save(tmp_path / "x y.png", pixels(61, 47)))
    array(9, 9)(tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            root = f"http://127.0.0.1:{server.server_port}"
            remote = open_source(f"{root}/x%20y.png")
            whole = (slice(None),) * 4
            np.testing.assert_array_equal(remote.read(whole), local.read(whole))
            assert open_source(f"{root}/x.zarr").shape == (1, 1, 9, 9)
            assert unetprep.lint(f"{root}/x%20y.png")[0].shape == (61, 47)
            with pytest.raises(InvalidInput, match=r"no\.tif is not there"):
                open_source(f"{root}/no.tif")
            save(tmp_path / "x.tif", pixels(61, 47))
            with pytest.raises(Failure, match=r"x\.tif.*the server gives no parts of a file: download it"):
                open_source(f"{root}/x.tif")
            with pytest.raises(io.UnsupportedOperation, match="cannot write"):
                open_storage(root).put("x", b"1")
            assert expand([f"{root}/sub"]) == [f"{root}/sub"]
        finally:
            server.shutdown()
            thread.join()


def test_labels_of_a_bucket_are_imported(tmp_path: Path, s3: str) -> None:
    labels = cell_labels((90, 130), 25, seed=1)
    tifffile.imwrite(tmp_path / "a.tif", labels, compression="zlib")
    upload(tmp_path, f"{s3}/masks")
    for out, masks in (("far", f"{s3}/masks/"), ("near", str(tmp_path / "a.tif"))):
        import_images(str(tmp_path / f"{out}.zarr"), [], [masks], ImportParams(), Scheduler(workers=2))
    far, near = (
        {
            key: (tmp_path / out / key).read_bytes()
            for key, _ in LocalStorage(str(tmp_path / out)).listing()
            if "/c/" in key
        }
        for out in ("far.zarr", "near.zarr")
    )
    assert far == near
