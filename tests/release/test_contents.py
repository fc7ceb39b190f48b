"""Files of the wheel and of the sdist, built without isolation and without network."""

import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("pipeline/unetprep", "trainer/unettrain", "cli/unetcli")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel and an sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def in_git(*folders: str) -> set[str]:
    said = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {name for name in said.splitlines() if (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def tracked() -> set[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    return in_git(".")


def test_the_wheel_holds_the_packages_and_the_manifests_and_nothing_else(built: Path, tracked: set[str]) -> None:
    (wheel,) = built.glob("*.whl")
    found = set(zipfile.ZipFile(wheel).namelist())
    code = {name.partition("/")[2] for name in tracked if name.startswith(tuple(f"{s}/" for s in SOURCES))}
    manifests = {f"unetprep/{name}" for name in tracked if name.startswith("data_manifests/")}
    assert {"unetprep/py.typed", "unettrain/py.typed", "unetcli/py.typed"} <= code
    assert len(manifests) > 5
    about = {name for name in found if name.startswith("unetprep-")}
    assert found - about == code | manifests
    assert {Path(name).name for name in about} == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "LICENSE"}


def test_the_metadata_name_licence_commands_and_extras(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        texts = {name.rpartition("/")[2]: name for name in archive.namelist() if ".dist-info/" in name}
        about = Parser().parsestr(archive.read(texts["METADATA"]).decode())
        commands = archive.read(texts["entry_points.txt"]).decode()
    assert (about["License-Expression"], about["License-File"]) == ("BSD-3-Clause", "LICENSE")
    assert about["Requires-Python"] == ">=3.11"
    extras = {*about.get_all("Provides-Extra", [])}
    assert {"prep", "train", "formats", "cluster", "s3", "tensorboard", "export", "view", "all"} <= extras
    assert "unetprep = unetcli.entry:unetprep\nunettrain = unetcli.entry:unettrain" in commands


def test_the_sdist_is_the_checkout(built: Path, tracked: set[str]) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    assert found - {"PKG-INFO"} <= tracked | in_git("--others", "--exclude-standard")
    assert tracked - found == set()


def test_the_version_is_written_in_one_way(built: Path) -> None:
    """In the package, in the citation, and in the first section of the changelog."""
    version = next(built.glob("*.whl")).name.split("-")[1]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert (ROOT / "CHANGELOG.md").read_text().startswith(f"# Changelog\n\n## {version}")
    import unetprep
    import unettrain

    assert {unetprep.__version__, unettrain.__version__} == {version}
