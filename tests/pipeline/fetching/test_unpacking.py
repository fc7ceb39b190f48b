"""Unpacking archives that are not trusted: sizes, checksums, links."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from unetprep.errors import Conflict, Failure
from unetprep.fetching.data_set import DataFile
from unetprep.fetching.unpacking import is_present, unpack

CONTENT = b"pixels" * 1000
FILE = {"member": "cellpack/img.tif", "path": "img.tif", "sha256": hashlib.sha256(CONTENT).hexdigest()}


def archive_of(path: Path, content: bytes = CONTENT) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(FILE["member"], content)
    return path


def member(num_bytes: int | None = None, path: str = "img.tif") -> DataFile:
    return DataFile(path, FILE["member"], sha256=FILE["sha256"], num_bytes=num_bytes)


@pytest.mark.parametrize("num_bytes", [None, 10])
def test_no_more_is_unpacked_than_stated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_bytes: int | None
) -> None:
    monkeypatch.setattr("unetprep.fetching.data_set.DEFAULT_MAX_BYTES", 10**6)
    archive = archive_of(tmp_path / "a.whl", bytes(10**7))
    with pytest.raises(Failure, match="has 10000000 bytes"):
        unpack(archive, [member(num_bytes)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_that_lies_about_a_size_is_read_no_further(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "a.whl", bytes(10**7))
    data = archive.read_bytes()
    archive.write_bytes(data.replace((10**7).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    with pytest.raises(Failure, match=r"cannot be unpacked|SHA-256|has 100 bytes|more than"):
        unpack(archive, [member(1000)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_a_disk_cannot_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetprep.fetching.unpacking.shutil.disk_usage", lambda path: type("Usage", (), {"free": 10}))
    with pytest.raises(Failure, match="needs 6000 bytes, and 10 are free"):
        unpack(archive_of(tmp_path / "a.whl"), [member()], tmp_path / "out")


def test_links_and_folders_in_the_place_of_a_file_are_refused(tmp_path: Path) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    out.mkdir()
    outside.mkdir()
    (outside / "img.tif").write_bytes(CONTENT)
    (out / "link").symlink_to(outside)
    for name in ("link/img.tif", "link"):
        with pytest.raises(PermissionError, match="symbolic link"):
            is_present(out, member(path=name))
    (out / "img.tif").mkdir()
    with pytest.raises(Conflict, match="is no file"):
        is_present(out, member())
    archive = archive_of(tmp_path / "a.whl")
    with pytest.raises(PermissionError, match="symbolic link"):
        unpack(archive, [member(path="link/new.tif")], out)
    assert [path.name for path in outside.iterdir()] == ["img.tif"]


def test_a_file_of_another_size_or_content_is_a_conflict(tmp_path: Path) -> None:
    (tmp_path / "img.tif").write_bytes(CONTENT)
    assert is_present(tmp_path, member())
    assert is_present(tmp_path, member(len(CONTENT)))
    with pytest.raises(Conflict, match="another content"):
        is_present(tmp_path, member(len(CONTENT) + 1))
    (tmp_path / "img.tif").write_bytes(CONTENT[::-1])
    with pytest.raises(Conflict, match="another content"):
        is_present(tmp_path, member(len(CONTENT)))


def test_a_damaged_archive_is_one_error(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "a.whl", bytes(range(256)) * 100)
    data = bytearray(archive.read_bytes())
    data[80:90] = bytes(10)
    archive.write_bytes(data)
    with pytest.raises(Failure, match="cannot be unpacked"):
        unpack(archive, [member()], tmp_path / "out")
    archive.write_bytes(b"no archive")
    with pytest.raises(Failure, match="cannot be read"):
        unpack(archive, [member()], tmp_path / "out")
