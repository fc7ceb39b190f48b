"""Fetching a data set by its manifest."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.http_server import Served, serving
from unetprep.fetching import manifest_names


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A package index of one wheel, in a folder, and a manifest of a file in it."""
    content = b"pixels"
    wheel = tmp_path / "index" / "cellpack-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("cellpack/img.tif", content)
        archive.writestr("cellpack-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: cellpack\nVersion: 1.0\n")
        archive.writestr("cellpack-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    write_manifest(tmp_path, hashlib.sha256(content).hexdigest())
    return content


def write_manifest(folder: Path, sha256: str, version: str = "1.0", member: str = "cellpack/img.tif") -> None:
    (folder / "cells.toml").write_text(
        'title = "Cells"\nterms = "CC0"\n[source]\nkind = "wheel"\npackage = "cellpack"\n'
        f'version = "{version}"\nplatform = "any"\npython = "3.11"\n'
        f'[[files]]\nmember = "{member}"\npath = "img.tif"\nsha256 = "{sha256}"\n'
    )


def test_fetch_unpacks_and_checks_and_keeps_what_is_there(run: Run, index: bytes, tmp_path: Path) -> None:
    assert "data/cells/img.tif  (fetched)" in run("unetprep fetch cells.toml").stdout
    assert (tmp_path / "data/cells/img.tif").read_bytes() == index
    assert "data/cells/img.tif  (was there)" in run("unetprep fetch cells.toml").stdout
    (tmp_path / "data/cells/img.tif").write_bytes(b"mine")
    assert "is there already, with another content" in run("unetprep fetch cells.toml", 4).stderr
    assert (tmp_path / "data/cells/img.tif").read_bytes() == b"mine"


def test_fetch_keeps_nothing_that_fails_its_checksum(run: Run, index: bytes, tmp_path: Path) -> None:
    write_manifest(tmp_path, "0" * 64)
    assert "has SHA-256" in run("unetprep fetch cells.toml", 1).stderr
    write_manifest(tmp_path, "0" * 64, member="cellpack/other.tif")
    assert "holds no cellpack/other.tif" in run("unetprep fetch cells.toml", 1).stderr
    write_manifest(tmp_path, "0" * 64, version="2.0")
    assert "cellpack==2.0 could not be downloaded" in run("unetprep fetch cells.toml", 1).stderr
    assert not (tmp_path / "data").exists()


def test_fetch_names_what_can_be_fetched(run: Run) -> None:
    assert {"nuclei", "nuclei3d"} <= set(manifest_names())
    assert "nuclei, nuclei3d" in run("unetprep fetch nothing", 3).stderr


def test_fetch_shows_the_terms_first_and_ends_with_the_import(run: Run, tmp_path: Path) -> None:
    content = b"pixels"
    (tmp_path / "img.tif").write_bytes(content)
    (tmp_path / "cells.toml").write_text(
        'title = "Cells"\nterms = "CC0"\ncite = "Someone"\n[source]\nkind = "local"\n[[files]]\npath = "img.tif"\n'
        f'sha256 = "{hashlib.sha256(content).hexdigest()}"\n[import]\nimage = "img.tif"\nlabels = "img.tif"\n'
    )
    fetched = run("unetprep fetch cells.toml --from .")
    assert fetched.stderr.splitlines() == ["Cells", "  terms: CC0", "  cite:  Someone"]
    command = "unetprep import --image data/cells/img.tif --labels data/cells/img.tif --out cells.zarr"
    assert fetched.stdout.splitlines() == [
        "data/cells/img.tif  (from img.tif)",
        f"import it:  {command}",
    ]
    again = run("unetprep fetch cells.toml --json --quiet")
    values = json.loads(again.stdout)
    assert (values["import_command"], values["unverified"]) == (command, {})
    assert "terms: CC0" in again.stderr


def test_fetch_takes_local_files_and_says_what_is_not_verified(run: Run, tmp_path: Path) -> None:
    text = 'title = "Cells"\nterms = "CC0"\n[source]\nkind = "local"\n[[files]]\npath = "a.bin"\nsha256 = "unknown"\n'
    (tmp_path / "cells.toml").write_text(text)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.bin").write_bytes(b"pixels")
    assert "nobody serves" in run("unetprep fetch cells.toml", 1).stderr
    fetched = run("unetprep fetch cells.toml --from mine").stdout.splitlines()
    digest = hashlib.sha256(b"pixels").hexdigest()
    assert fetched == [
        "data/cells/a.bin  (from mine/a.bin)",
        f"NOT VERIFIED: the manifest knows no digest of data/cells/a.bin; its SHA-256 is {digest}",
    ]


def test_fetch_shows_its_progress(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    content = bytes(5000)
    with serving(Served(content)) as served:
        file = f'path = "a.bin"\nurl = "{served.url}"\nsha256 = "{hashlib.sha256(content).hexdigest()}"\n'
        text = f'title = "Cells"\nterms = "CC0"\n[source]\nkind = "http"\n[[files]]\n{file}'
        (tmp_path / "cells.toml").write_text(text)
        assert "fetch a.bin, KiB 4/4" in run("unetprep fetch cells.toml").stderr
        served.chunked = True
        assert "fetch a.bin 0/1 KiB 4" in run("unetprep fetch cells.toml --out two").stderr
        assert "KiB" not in run("unetprep fetch cells.toml --out three --quiet").stderr


def test_of_many_files_the_first_are_listed(run: Run, tmp_path: Path) -> None:
    files = "".join(f'[[files]]\npath = "{k}.bin"\nsha256 = "unknown"\n' for k in range(21))
    (tmp_path / "cells.toml").write_text(f'title = "Cells"\nterms = "CC0"\n[source]\nkind = "local"\n{files}')
    for k in range(21):
        (tmp_path / f"{k}.bin").write_bytes(b"pixels")
    lines = run("unetprep fetch cells.toml --from .").stdout.splitlines()
    assert lines[4:6] == ["data/cells/4.bin  (from 4.bin)", "and 16 more"]
    assert len(json.loads(run("unetprep fetch cells.toml --json").stdout)["files"]) == 21
