"""Manifests of data sets are not trusted: what may reach pip and where files may be written."""

import hashlib
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from unetprep.errors import Failure, InvalidInput
from unetprep.fetching import fetch, manifest_names, manifests, read_manifest
from unetprep.toml_files import MAX_BYTES

CONTENT = b"pixels" * 1000
SOURCE = {"kind": "wheel", "package": "cellpack", "version": "1.0", "platform": "any", "python": "3.11"}
FILE = {"member": "cellpack/img.tif", "path": "img.tif", "sha256": hashlib.sha256(CONTENT).hexdigest()}


def write_manifest(
    folder: Path,
    source: Mapping[str, str] = SOURCE,
    *files: Mapping[str, Any],
    head: str = 'title = "a"\nterms = "b"\n',
) -> str:
    def lines(table: Mapping[str, Any]) -> str:
        return "".join(
            f"{key} = {str(value) if isinstance(value, int) else repr(value)}\n" for key, value in table.items()
        )

    text = head + "[source]\n" + lines(source) + "".join("[[files]]\n" + lines(file) for file in files or (FILE,))
    (folder / "cells.toml").write_text(text)
    return str(folder / "cells.toml")


def archive_of(path: Path, content: bytes = CONTENT) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(FILE["member"], content)
    return path


def give(monkeypatch: pytest.MonkeyPatch, name: str = "cellpack-1.0-py3-none-any.whl") -> list[list[str]]:
    """Let pip be asked in vain and a wheel of this name come; returns what pip is asked."""
    asked: list[list[str]] = []

    def answer(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        (folder,) = (word.removeprefix("--dest=") for word in command if word.startswith("--dest="))
        archive_of(Path(folder, name))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", answer)
    return asked


WHEEL = "[source]\nkind='wheel'\npackage='a'\nversion='1'\nplatform='any'\npython='3'"
BAD_FIELDS = [
    ("package", "-r"),
    ("package", "--index-url"),
    ("package", "./cellpack"),
    ("package", "cellpack @ file:///tmp/cellpack"),
    ("package", "https://example.org/cellpack"),
    ("package", "cellpack[all]"),
    ("package", "cellpack\n"),
    ("package", ""),
    ("version", "1.0 --no-binary"),
    ("version", "1.*"),
    ("version", "1.0,<2"),
    ("version", "/tmp"),
    ("version", "1.0\n"),
    ("platform", "any --target=x"),
    ("platform", "-any"),
    ("platform", "a/b"),
    ("python", "3.11 "),
    ("python", "-3"),
    ("python", "three"),
    ("kind", "sdist"),
]


@pytest.mark.parametrize(("field", "value"), BAD_FIELDS)
def test_source_fields_that_are_not_plain_names_are_refused(tmp_path: Path, field: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=r"source\] of .*cells\.toml is"):
        read_manifest(write_manifest(tmp_path, {**SOURCE, field: value}))


@pytest.mark.parametrize("key", ["path", "member"])
@pytest.mark.parametrize("value", ["../img.tif", "/tmp/img.tif", "a/../../img.tif", "", ".", "a\\b", "a//b", "a\nb"])
def test_paths_that_leave_the_folder_are_refused(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=rf"{key} in \[\[files\]\]"):
        read_manifest(write_manifest(tmp_path, SOURCE, {**FILE, key: value}))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([{**FILE, "bytes": -1}], "bytes in"),
        ([{**FILE, "bytes": 2**60}], "bytes in"),
        ([{**FILE, "sha256": "A" * 64}], "sha256 in"),
        ([{**FILE, "sha256": "0" * 63}], "sha256 in"),
        ([FILE, {**FILE, "path": "IMG.tif"}], "twice"),
        ([FILE, {**FILE, "path": "img.tif/a"}], "as a file and as a folder"),
    ],
)
def test_files_that_cannot_be_are_refused(tmp_path: Path, files: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_manifest(write_manifest(tmp_path, SOURCE, *files))


@pytest.mark.parametrize(
    "text",
    [
        "source = 1",
        "[[source]]\nkind = 'wheel'",
        "files = 3",
        "title = 'a'\nterms = 'b'\nfiles = [1]\n" + WHEEL,
        "title = 'a'\nterms = 'b'\n" + WHEEL,
        "title = 'a'\nterms = 'b'\n" + WHEEL.replace("'a'", "['a']"),
        "title = \"a\\u001b[2J\"\nterms = 'b'\n" + WHEEL,
        "a = " + "[" * 100_000,
        "a = " + "9" * 5000,
        "#" * (MAX_BYTES + 1),
        "\0",
    ],
)
def test_toml_of_other_types_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(InvalidInput, match=r"x\.toml"):
        read_manifest(str(tmp_path / "x.toml"))


def test_names_of_data_sets_are_no_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in manifest_names():
        assert read_manifest(name.upper()).name == name
    monkeypatch.setattr(manifests, "MANIFESTS", (tmp_path / "sets",))
    write_manifest(tmp_path)
    with pytest.raises(InvalidInput, match="no data set is called"):
        read_manifest("../cells")


def test_pip_builds_nothing_and_takes_no_field_as_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = give(monkeypatch)
    fetched = fetch(write_manifest(tmp_path), str(tmp_path / "out"))
    assert asked[0][-2:] == ["--", "cellpack==1.0"]
    assert {"--only-binary=:all:", "--no-deps", "--no-input"} <= set(asked[0])
    assert fetched.files == {str(tmp_path / "out/img.tif"): "fetched"}
    assert (tmp_path / "out/img.tif").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["img.tif"]


@pytest.mark.parametrize(
    "name",
    ["other-1.0-py3-none-any.whl", "cellpack-2.0-py3-none-any.whl", "cellpack-1.0.tar.gz", "cellpack-1.0.whl"],
)
def test_another_wheel_than_asked_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    give(monkeypatch, name)
    with pytest.raises(Failure, match="the package index gave"):
        fetch(write_manifest(tmp_path), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_spellings_of_one_package_and_version_are_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, "Cell_Pack-1.0.0-1-py3-none-any.whl")
    source = {**SOURCE, "package": "cell.pack", "version": "1.0"}
    assert fetch(write_manifest(tmp_path, source), str(tmp_path / "out")).files


HTTP = '[source]\nkind = "http"\n'
URL = 'url = "https://example.org/a.zip"\n'
IN_ARCHIVE = f'[[archives]]\npath = "a.zip"\nsha256 = "unknown"\nunpack = "."\n{URL}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'sha256 = "a"\n{HTTP}{IN_ARCHIVE}', "has a field 'sha256'"),
        (f'{HTTP}command = "rm"\n{IN_ARCHIVE}', "has a field 'command'"),
        (f'{HTTP}{IN_ARCHIVE}mirror = "x"\n', "has a field 'mirror'"),
        (f'{HTTP}{IN_ARCHIVE}[import]\noverwrite = "x"\n', "has a field 'overwrite'"),
        (f'{HTTP}{IN_ARCHIVE}[import]\nimage = "../a"\n', "cannot be a path below it"),
        (f"{HTTP}{IN_ARCHIVE}[import]\nspacing = 4\n", "spacing in .* is 4"),
        (f"{HTTP}{IN_ARCHIVE.replace(URL, '')}", "url in .* is missing"),
        (f"{HTTP}{IN_ARCHIVE.replace('https', 'file')}", "url in"),
        (f"{HTTP}{IN_ARCHIVE.replace('example.org', 'user:word@example.org')}", "url in"),
        (f"{HTTP}{IN_ARCHIVE.replace('unknown', '')}", "sha256 in .* is ''"),
        (f"{HTTP}{IN_ARCHIVE.replace(chr(34) + '.' + chr(34), chr(34) + '../x' + chr(34))}", "unpack in"),
        (f"{HTTP}{IN_ARCHIVE.replace('a.zip', 'a/b.zip', 1)}", "cannot be a name"),
        (f'{HTTP}[[files]]\npath = "a"\n{URL}', "sha256 in .* is missing"),
        (f'{HTTP}[[files]]\npath = "a"\npixels = "no"\n{URL}', "pixels in"),
        (f"{HTTP}{IN_ARCHIVE.replace('unpack', '#')}", "files of .* are missing"),
        (f"{WHEEL}\n{IN_ARCHIVE}", "lists archives"),
    ],
)
def test_what_a_source_cannot_have_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.toml").write_text(f"title = 'a'\nterms = 'b'\n{text}")
    with pytest.raises(InvalidInput, match=message):
        read_manifest(str(tmp_path / "x.toml"))


def test_a_digest_that_is_unknown_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(f"title = 'a'\nterms = 'b'\n{HTTP}{IN_ARCHIVE}")
    (archive,) = read_manifest(str(tmp_path / "x.toml")).archives
    assert (archive.sha256, archive.unpack, archive.url) == (None, ".", "https://example.org/a.zip")
