"""A second import of the same files reads none of them, and one of changed files reads those."""

import json
import os
import shutil
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unetprep
from tests.pipeline.conftest import save, tree
from tests.synthetic import cell_image, cell_labels
from unetprep import ImportParams
from unetprep.errors import Conflict, InvalidInput
from unetprep.format.layout import FIRST_READING, ArraySpec, Provenance
from unetprep.sources import open_source
from unetprep.sources.formats.npy import NpySource
from unetprep.sources.formats.pictures import PictureSource
from unetprep.sources.formats.tiff import TiffSource
from unetprep.stages import known_sources
from unetprep.store import Store

NUM = 18  # images, with as many labels
LABELS = {f"{k:02}": cell_labels((30 + k, 50 - k), 6, seed=k, radius=7) for k in range(NUM)}


@pytest.fixture(params=["npy", "tif", "png"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with images/ and masks/, all of which are small and of one kind."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for name, labels in LABELS.items():
        save(tmp_path / "images" / f"{name}.{request.param}", cell_image(labels))
        save(tmp_path / "masks" / f"{name}.{request.param}", labels.astype(np.uint8))
    return tmp_path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are opened or read, in order."""
    found: list[str] = []

    def noting(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, *arguments: Any) -> Any:
            found.append(str(Path(*Path(self.path).parts[-2:])))
            return method(self, *arguments)

        return call

    for source in (NpySource, PictureSource, TiffSource):
        monkeypatch.setattr(source, "_read_file", noting(source._read_file))

    def noting_path(path: str, *arguments: Any) -> Any:
        found.append(str(Path(*Path(path).parts[-2:])))
        return open_source(path, *arguments)

    monkeypatch.setattr(known_sources, "open_source", noting_path)  # small TIFF files are decoded while they are opened
    return found


def run(folder: Path, name: str = "ds.zarr", **options: Any) -> unetprep.ImportSummary:
    """Import the files of a folder."""
    params = ImportParams(**{key: value for key, value in options.items() if key != "overwrite"})
    overwrite = options.get("overwrite", False)
    return unetprep.import_images(folder / name, folder / "images", folder / "masks", params, overwrite=overwrite)


def arrays(url: Path) -> dict[str, bytes]:
    """Every file of a store but what the first reading found."""
    return {key: data for key, data in tree(url).items() if not key.startswith(FIRST_READING)}


@pytest.mark.parametrize("options", [{}, {"instances": "components"}, {"intensity": "percentile", "val_fraction": 0.2}])
def test_a_second_import_reads_no_pixels_and_says_the_same(
    files: Path, read: list[str], options: dict[str, Any]
) -> None:
    first = run(files, **options)
    assert set(read) == {str(p.relative_to(files)) for k in ("images", "masks") for p in (files / k).iterdir()}
    before = tree(files / "ds.zarr")
    read.clear()
    second = run(files, **options)
    assert read == []
    assert (second.shards_written, second.ranges) == (0, first.ranges)
    assert tree(files / "ds.zarr") == before


def test_images_with_arrays_of_their_own_are_not_read_again_either(
    files: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unetprep.stages.stacks.FEWEST", 1000)
    run(files)
    read.clear()
    assert run(files).shards_written == 0
    assert read == []


def test_only_a_changed_file_is_read_and_it_is_refused(files: Path, read: list[str]) -> None:
    """Though its size and its time of change are those from before."""
    run(files)
    (path,) = (files / "images").glob("07.*")
    found, pixels = path.stat(), cell_image(LABELS["07"])
    if path.suffix == ".png":
        shutil.copyfile(next((files / "images").glob("08.*")), path)
        expected, message = InvalidInput, "differ in size"
    else:
        save(path, 255 - pixels)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
        assert path.stat().st_size == found.st_size
        expected, message = Conflict, "as image '07', with other pixels"  # type: ignore[assignment]
    read.clear()
    with pytest.raises(expected, match=message):
        run(files)
    assert {name for name in read if name.startswith("images/")} <= {f"images/{path.name}"}


def test_other_parameters_are_not_answered_from_what_is_known(files: Path) -> None:
    labels = LABELS["03"].astype(np.uint8)
    labels[:4, :4] = 99
    (path,) = (files / "masks").glob("03.*")
    save(path, labels)
    run(files, ignore_label=99)
    run(files, instances="components", overwrite=True)
    run(files, "anew.zarr", instances="components")
    assert arrays(files / "ds.zarr") == arrays(files / "anew.zarr")
    run(files, intensity="minmax", ignore_label=99, overwrite=True)
    run(files, "third.zarr", intensity="minmax", ignore_label=99)
    assert arrays(files / "ds.zarr") == arrays(files / "third.zarr")


def test_a_lost_shard_is_written_again_from_its_files_alone(files: Path, read: list[str]) -> None:
    run(files)
    before = tree(files / "ds.zarr")
    (files / "ds.zarr/stacks/0/image/c/0/0/0/0").unlink()
    read.clear()
    assert run(files).shards_written == 1
    assert {name.partition("/")[0] for name in read} == {"images"}
    assert tree(files / "ds.zarr") == before


def put(url: Path, data: bytes) -> None:
    """Replace what was kept, as somebody would who wants it to be believed: with checksums that fit."""
    store, values = Store.open(str(url)), np.frombuffer(data, np.uint8)
    size, made = (values.size,), Provenance("import", known_sources.VERSION, {}, {})
    spec = ArraySpec(FIRST_READING, size, "uint8", ("byte",), size, size, made, codec="none")
    store.create(spec)
    store.write(spec, (slice(0, values.size),), values)
    store.set_complete(FIRST_READING, True)


def damaged(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    """A change of the content."""

    def apply(data: bytes) -> bytes:
        content = json.loads(zlib.decompress(data))
        change(content)
        return zlib.compress(json.dumps(content).encode())

    return apply


def of_every_entry(**values: Any) -> Callable[[bytes], bytes]:
    """A change of every entry."""
    return damaged(lambda content: [entry.update(values) for entry in content["sources"].values()])


def of_every_scan(**values: Any) -> Callable[[bytes], bytes]:
    """A change of what was found in every file."""

    def change(content: dict[str, Any]) -> None:
        for entry in content["sources"].values():
            for scan in entry["scans"].values():
                scan.update(values)

    return damaged(change)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:50],
        lambda data: b"no zlib",
        lambda data: zlib.compress(b"5"),
        lambda data: zlib.compress(b"\xff"),
        lambda data: zlib.compress(b"[" * 100_000),
        damaged(lambda content: content.pop("version")),
        damaged(lambda content: content.update(version=99)),
        damaged(lambda content: content.update(sources=[])),
        damaged(lambda content: content.update(sources=dict.fromkeys(content["sources"], 5))),
        damaged(lambda content: content.update(sources={path: {} for path in content["sources"]})),
        of_every_entry(scans=5),
        of_every_entry(scans={}),
        of_every_entry(shape="ab"),
        of_every_entry(shape=[10**9, 10**9]),
        of_every_entry(shape=[-1, 5]),
        of_every_entry(axes=5),
        of_every_entry(axes="abc"),
        of_every_entry(folder=5, name=[]),
        of_every_entry(**{"class": ["NpySource"]}),
        of_every_entry(dtype="float99"),
        of_every_entry(dtype=7),
        of_every_scan(low=None, high="a"),
        of_every_scan(digest=5),
        of_every_scan(shards="zz"),
        of_every_scan(robust={"low": 0}),
        of_every_scan(robust={"low": 0}, ids=["a"]),
        of_every_scan(ids=["a"]),
        of_every_scan(num_pieces="many"),
    ],
)
@pytest.mark.parametrize("files", ["npy"], indirect=True)
@pytest.mark.parametrize("alone", [False, True])
def test_a_damaged_cache_changes_nothing(
    files: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes], alone: bool
) -> None:
    monkeypatch.setattr("unetprep.stages.stacks.FEWEST", 1000 if alone else 16)
    run(files)
    before, url = arrays(files / "ds.zarr"), files / "ds.zarr"
    put(url, change(Store.open(str(url)).read_all(FIRST_READING).tobytes()))
    with suppress(Conflict):  # digests that are not those of the store
        assert run(files).shards_written == 0
    assert arrays(url) == before


@pytest.mark.parametrize("files", ["npy"], indirect=True)
def test_a_cache_that_cannot_be_read_is_no_error(files: Path) -> None:
    run(files)
    url = files / "ds.zarr"
    before = tree(url)
    for key, data in (
        (f"{FIRST_READING}/c/0", b""),
        (f"{FIRST_READING}/c/0", None),
        (f"{FIRST_READING}/zarr.json", b"{"),
    ):
        if data is None:
            (url / key).unlink()
        else:
            (url / key).write_bytes(data)
        assert run(files).shards_written == 0
        assert arrays(url) == {k: v for k, v in before.items() if not k.startswith(FIRST_READING)}
    assert unetprep.verify(url, workers=1).faults == ()


@pytest.mark.parametrize("files", ["npy"], indirect=True)
def test_a_cache_that_unpacks_to_more_than_a_store_needs_is_not_unpacked(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store is not trusted: 1 MB may unpack to 1 GB."""
    run(files)
    monkeypatch.setattr(known_sources, "MOST_BYTES", 2**24)
    put(files / "ds.zarr", zlib.compress(bytes(2**28)))
    tracemalloc.start()
    assert run(files).shards_written == 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**27


@pytest.mark.parametrize("files", ["npy"], indirect=True)
def test_no_path_of_this_machine_is_kept(files: Path) -> None:
    run(files)
    text = zlib.decompress(Store.open(str(files / "ds.zarr")).read_all(FIRST_READING).tobytes()).decode()
    assert "masks" not in text
    assert files.name not in text


@pytest.mark.parametrize("files", ["npy"], indirect=True)
def test_few_sources_leave_no_cache(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(files)
    assert (files / "ds.zarr" / FIRST_READING).exists()
    for kind in ("images", "masks"):
        for path in list((files / kind).iterdir())[: NUM - 15]:
            path.unlink()
    run(files, "few.zarr")
    assert not (files / "few.zarr" / FIRST_READING).exists()
    monkeypatch.setattr(known_sources, "FEWEST_PIXELS", 1000)
    run(files, "few.zarr")
    assert (files / "few.zarr" / FIRST_READING).exists()


@pytest.mark.parametrize("files", ["npy"], indirect=True)
def test_files_that_are_gone_are_told_and_their_images_stay(files: Path) -> None:
    run(files)
    for kind in ("images", "masks"):
        for name in ("04", "05"):
            (files / kind / f"{name}.npy").unlink()
    (warning,) = run(files).warnings
    assert "the files of 04 and of 1 more images are no longer there" in warning
    assert f"unetprep remove {files}/ds.zarr 04" in warning
    assert len(Store.open(str(files / "ds.zarr")).names) == NUM
    unetprep.remove(files / "ds.zarr", ["04", "05"])
    assert run(files).warnings == []


@pytest.mark.parametrize("files", ["npy"], indirect=True)
def test_a_file_is_known_by_any_path_to_it(files: Path, read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    run(files)
    read.clear()
    monkeypatch.chdir(files)
    assert unetprep.import_images("ds.zarr", "images", "masks").shards_written == 0
    assert read == []
