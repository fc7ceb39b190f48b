"""Fetching a data set: from a server, from folders of the user, and what is there already."""

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.http_server import Served, serving
from unetprep.errors import Conflict, Failure, InvalidInput
from unetprep.fetching import fetch, pixel_digest

IMAGE = np.arange(600, dtype=np.uint8).reshape(20, 30)
PIXELS = pixel_digest(IMAGE)


def tiff(image: np.ndarray = IMAGE, **options: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, image, **options)
    return out.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


ARCHIVE = zipped({"set/img.tif": tiff(), "set/notes.txt": b"notes", "__MACOSX/set/._img.tif": b"", ".DS_Store": b""})


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("unetprep.fetching.downloads.PAUSES_S", (0.0, 0.0))
    with serving(Served(ARCHIVE)) as server:
        yield server


def manifest(folder: Path, kind: str, text: str) -> str:
    head = f'title = "Cells"\nterms = "CC0"\nhome = "https://example.org/"\n[source]\nkind = "{kind}"\n'
    (folder / "cells.toml").write_text(head + text)
    return str(folder / "cells.toml")


def archive(url: str, sha256: str = "unknown", unpack: str = 'unpack = "."') -> str:
    return f'[[archives]]\npath = "cells.zip"\nurl = "{url}"\nsha256 = "{sha256}"\n{unpack}\n'


def image(sha256: str = "", pixels: str = "", member: str = 'member = "img.tif"') -> str:
    digests = (f'sha256 = "{sha256}"\n' if sha256 else "") + (f'pixels = "{pixels}"\n' if pixels else "")
    return f'[[files]]\npath = "img.tif"\n{member}\n{digests}'


def test_an_archive_is_unpacked_once(served: Served, tmp_path: Path) -> None:
    name = manifest(tmp_path, "http", archive(served.url) + '[import]\ndata = "set"\nlayout = "ctc"\n')
    out = tmp_path / "out dir"
    seen: list[tuple[str, int, int]] = []
    done = fetch(name, out, on_progress=lambda *at: seen.append(at))
    assert seen[-1] == ("unpack cells.zip", len(tiff()) + 5, len(tiff()) + 5)
    assert done.files == {f"{out}/cells.zip": "fetched; 2 files unpacked"}
    assert done.unverified == {f"{out}/cells.zip": hashlib.sha256(ARCHIVE).hexdigest()}
    assert done.import_command == f"unetprep import --data '{out}/set' --layout ctc --out cells.zarr"
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == [
        "cells.zip",
        "set/img.tif",
        "set/notes.txt",
    ]
    (out / "set/notes.txt").unlink()
    assert fetch(name, out).files == {f"{out}/cells.zip": "was there; 1 files unpacked"}
    assert fetch(name, out).files == {f"{out}/cells.zip": "was there; was unpacked"}
    assert len(served.asked) == 1
    (out / "set/notes.txt").write_bytes(b"other")
    with pytest.raises(Conflict, match=r"notes\.txt is there already, with another content"):
        fetch(name, out)
    assert (out / "set/notes.txt").read_bytes() == b"other"


def test_files_of_an_archive_are_known_by_their_pixels(served: Served, tmp_path: Path) -> None:
    name = manifest(tmp_path, "http", archive(served.url, unpack="") + image(pixels=PIXELS))
    done = fetch(name, tmp_path / "out")
    assert done.files[f"{tmp_path}/out/img.tif"] == "fetched"
    assert list(done.unverified) == [f"{tmp_path}/out/cells.zip"]
    (tmp_path / "out/cells.zip").unlink()
    assert fetch(name, tmp_path / "out").files == {f"{tmp_path}/out/img.tif": "was there"}
    assert len(served.asked) == 1
    (tmp_path / "out/img.tif").unlink()
    served.content = zipped({"img.tif": tiff(IMAGE[::-1])})
    with pytest.raises(Failure, match=rf"and should be {PIXELS}"):
        fetch(name, tmp_path / "out")
    assert not (tmp_path / "out/img.tif").exists()


def test_files_are_downloaded_one_by_one(served: Served, tmp_path: Path) -> None:
    served.content = tiff()
    text = image(hashlib.sha256(served.content).hexdigest(), member=f'url = "{served.url}"')
    seen: list[tuple[str, int, int]] = []
    done = fetch(manifest(tmp_path, "http", text), tmp_path / "out", on_progress=lambda *at: seen.append(at))
    assert done.files == {f"{tmp_path}/out/img.tif": "fetched"}
    assert not done.unverified
    assert seen[-1] == ("fetch img.tif", len(served.content), len(served.content))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"../img.tif": b""}, "cannot be a path below it"),
        ({"/img.tif": b""}, "cannot be a path below it"),
        ({"a/img.tif": b"", "A/img.tif": b""}, "holds 2 files, some twice"),
    ],
)
def test_archives_that_leave_their_folder_are_refused(
    served: Served, tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    served.content = zipped(files)
    with pytest.raises((InvalidInput, Failure), match=message):
        fetch(manifest(tmp_path, "http", archive(served.url)), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cells.zip"]


def test_archives_are_not_unpacked_through_links(served: Served, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "out/set").symlink_to(tmp_path / "outside")
    for unpack in ("set", "."):
        name = manifest(tmp_path, "http", archive(served.url, unpack=f'unpack = "{unpack}"'))
        with pytest.raises(PermissionError, match="symbolic link"):
            fetch(name, tmp_path / "out")
    assert not list((tmp_path / "outside").iterdir())


def test_a_damaged_archive_leaves_no_damaged_file(served: Served, tmp_path: Path) -> None:
    damaged = bytearray(zipped({"img.tif": bytes(range(256)) * 100}))
    damaged[80:90] = bytes(10)
    served.content = bytes(damaged)
    name = manifest(tmp_path, "http", archive(served.url))
    with pytest.raises(Failure, match=r"img\.tif of cells\.zip cannot be unpacked"):
        fetch(name, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cells.zip"]


def test_files_are_taken_from_a_folder_by_name_and_by_digest(tmp_path: Path) -> None:
    (tmp_path / "mine/deep").mkdir(parents=True)
    content, other = tiff(), tiff(IMAGE[::-1])
    sha256 = hashlib.sha256(content).hexdigest()
    name = manifest(tmp_path, "local", image(sha256, member=""))
    (tmp_path / "mine/img.tif").write_bytes(other)  # of the right name, with another content
    for place in ("deep/img.tif", "renamed.tif"):
        path = tmp_path / "mine" / place
        path.write_bytes(content)
        done = fetch(name, tmp_path / place, from_folder=tmp_path / "mine")
        assert done.files == {f"{tmp_path / place}/img.tif": f"from {path}"}
        path.unlink()
        assert (tmp_path / place / "img.tif").read_bytes() == content
        assert os.stat(tmp_path / place / "img.tif").st_nlink == 1
    with pytest.raises(InvalidInput, match=r"does not hold img\.tif") as raised:
        fetch(name, tmp_path / "out", from_folder=tmp_path / "mine")
    assert hashlib.sha256(other).hexdigest() in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_files_are_taken_from_archives_and_known_by_their_pixels(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "any.zip").write_bytes(zipped({"x/img.tif": tiff(), "x/y.txt": b""}))
    text = archive("https://example.org/a.zip", unpack="") + image(pixels=PIXELS)
    name = manifest(tmp_path, "http", text)
    done = fetch(name, tmp_path / "out", from_folder=mine)
    assert done.files == {f"{tmp_path}/out/img.tif": f"from {mine}/any.zip"}
    (mine / "any.zip").unlink()
    (mine / "renamed.tif").write_bytes(tiff(compression="zlib"))
    assert fetch(name, tmp_path / "two", from_folder=mine).files == {
        f"{tmp_path}/two/img.tif": f"from {mine}/renamed.tif"
    }


def test_archives_are_taken_from_a_folder_and_unpacked(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a (1).zip").write_bytes(ARCHIVE)  # as a browser names the second download
    (mine / "cells.zip").write_bytes(b"no archive")
    name = manifest(tmp_path, "http", archive("https://example.org/a.zip", hashlib.sha256(ARCHIVE).hexdigest()))
    done = fetch(name, tmp_path / "out", from_folder=mine)
    assert done.files == {f"{tmp_path}/out/cells.zip": f"from {mine}/a (1).zip; 2 files unpacked"}
    assert (tmp_path / "out/set/img.tif").exists()
    (mine / "a (1).zip").unlink()
    with pytest.raises(InvalidInput, match="unetprep scan FOLDER"):
        fetch(name, tmp_path / "two", from_folder=mine)


def test_what_nobody_serves_is_one_error(tmp_path: Path) -> None:
    name = manifest(tmp_path, "local", image(pixels=PIXELS, member=""))
    with pytest.raises(Failure, match="nobody serves the files of cells") as raised:
        fetch(name, tmp_path / "out")
    assert "https://example.org/, then: unetprep fetch cells --from FOLDER" in str(raised.value)
    with pytest.raises(InvalidInput, match="not a folder"):
        fetch(name, tmp_path / "out", from_folder=tmp_path / "nothing")
