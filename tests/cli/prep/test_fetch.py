"""Fetching a data set by its manifest."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from tests.cli.conftest import Run
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
