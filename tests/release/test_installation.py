"""Installations of the wheel in clean environments: without extras, and with each. `make dist` runs these.

They take packages from a package index, and minutes. The constraints of this project choose the build of torch.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.release.environments import ROOT, make_environment
from tests.synthetic import cell_image, cell_labels

pytestmark = pytest.mark.release

WEIGHTS = "unetprep weights --in labels.tif --out labels.zarr --sigma 3"
PREPARE = (
    "unetprep import --image img.tif --labels labels.tif --out ds.zarr --val-fraction 0.3",
    "unetprep weights --out ds.zarr --sigma 3",
    "unetprep deform --out ds.zarr --fields 2",
    "unetprep tiles --out ds.zarr --tile 60 --depth 2",
)
FIT = "unettrain fit made.zarr --run run --base-channels 1 --steps 2 --validate-every 2 --threads 1 --best-by loss"
PREDICT = "unettrain predict run img.tif --out cells.tif --threads 1 --threshold 0.5"


@dataclass(frozen=True)
class Part:
    """An extra, or several: the commands that must work with them, and modules that must not be installed."""

    extras: str
    commands: tuple[str, ...]
    absent: tuple[str, ...] = ()


PARTS = (
    Part("", ("unetprep info made.zarr", "unetprep formats"), ("dask", "torch", "scipy", "obstore")),
    Part("prep", (*PREPARE, "unetprep preview ds.zarr --out p.png"), ("torch",)),
    Part("cluster", (f"{WEIGHTS} --scheduler processes --workers 1 --memory 2GB",), ("torch",)),
    Part("formats", (), ("torch",)),  # nd2 brings dask
    Part("prep,formats", (WEIGHTS.replace("labels.tif", "labels.h5:/cells"),), ("torch",)),
    Part("s3", (), ("dask", "torch")),
    Part("tensorboard", (), ("dask",)),
    Part("export", (), ("dask",)),
    Part("train", (FIT, PREDICT, "unettrain evaluate cells.tif labels.tif"), ("dask", "distributed", "xarray")),
    Part("train,tensorboard", (f"{FIT} --tensorboard",)),
    Part("train,export", (FIT, "unettrain export run --out net.onnx")),
    Part("all", (*PREPARE, FIT, PREDICT, "unettrain report run --store made.zarr"), ("dask_jobqueue",)),
)


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel and an sdist."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT, check=True)
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """img.tif, labels.tif, labels.h5, and a store that was made by this environment, made.zarr."""
    import h5py

    folder = tmp_path_factory.mktemp("data")
    labels = cell_labels((140, 110), 40)
    tifffile.imwrite(folder / "labels.tif", labels)
    tifffile.imwrite(folder / "img.tif", cell_image(labels))
    with h5py.File(folder / "labels.h5", "w") as file:
        file["cells"] = np.asarray(labels)
    for line in PREPARE:
        run(Path(sys.executable).parent, line.replace("ds.zarr", "made.zarr"), folder)
    return folder


def run(programs: Path, line: str, folder: Path) -> str:
    """Standard output of a command of an environment, which must succeed."""
    program, *words = line.split()
    done = subprocess.run([str(programs / program), *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


def source(path: Path, extras: str) -> str:
    """What pip is told to install: a file of the distribution with extras."""
    return f"unetprep[{extras}] @ {path.as_uri()}" if extras else f"unetprep @ {path.as_uri()}"


@pytest.mark.parametrize("part", PARTS, ids=[part.extras or "base" for part in PARTS])
def test_a_part_alone_works(dist: Path, data: Path, tmp_path: Path, part: Part) -> None:
    (wheel,) = dist.glob("*.whl")
    programs = make_environment(tmp_path / "env", sys.executable, source(wheel, part.extras))
    folder = tmp_path / "work"
    folder.mkdir()
    for path in data.iterdir():
        (folder / path.name).symlink_to(path)
    for program in ("unetprep", "unettrain"):
        assert "Examples" in run(programs, f"{program} --help", folder)
    checks = json.loads(run(programs, "unetprep doctor --json", folder))["checks"]
    states = {check["name"]: check["state"] for check in checks if check["section"] == "extras"}
    assert {extra: states.get(extra, "ok") for extra in part.extras.split(",")} == dict.fromkeys(
        part.extras.split(","), "ok"
    )
    for line in part.commands:
        run(programs, line, folder)
    found = f"import importlib.util as u; print([m for m in {part.absent!r} if u.find_spec(m)])"
    done = subprocess.run([programs / "python", "-c", found], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n", "packages that this part should not bring"


def test_the_sdist_gives_the_wheel(dist: Path, tmp_path: Path) -> None:
    """Byte for byte, so that what was tested of the wheel holds for the sdist."""
    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    make = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(sdist)]
    subprocess.run(make, check=True)
    (made,) = tmp_path.glob("*.whl")
    assert made.read_bytes() == wheel.read_bytes()


def test_the_sdist_can_be_installed(dist: Path, data: Path, tmp_path: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    programs = make_environment(tmp_path / "env", sys.executable, source(sdist, "prep"))
    (tmp_path / "labels.tif").symlink_to(data / "labels.tif")
    run(programs, WEIGHTS, tmp_path)
