"""A store is never made from itself: its arrays would be deleted before they are read."""

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.pipeline.conftest import tree

OWN = "ds.zarr/images/img"


@pytest.mark.parametrize(
    "line",
    [
        f"import --image {OWN} --labels labels.tif --out ds.zarr",
        f"import --image img.tif --labels {OWN}/labels/instances --out ds.zarr/",
        "import --image ds.zarr/images --labels labels.tif --out ./ds.zarr",
        f"import --image {OWN} --labels labels.tif --out link.zarr",
        "import --image linked --labels labels.tif --out {folder}/ds.zarr",
        f"weights --in {OWN}/labels/instances --out ds.zarr",
        f"relabel ds.zarr --labels {OWN}/labels/instances --image img",
    ],
)
def test_a_store_is_not_made_from_itself(run: Run, cells: Path, line: str) -> None:
    run("unetprep import --image img.tif --labels labels.tif --out ds.zarr")
    os.symlink("ds.zarr", "link.zarr")
    os.symlink(OWN, "linked")
    before = tree(cells / "ds.zarr")
    command = f"unetprep {line.format(folder=cells)}"
    for option in ("",) if "relabel" in line else ("", " --overwrite", " --dry-run"):
        assert "the store that is to be written" in run(command + option, 3).stderr
        assert tree(cells / "ds.zarr") == before


def test_another_store_can_be_made_from_an_image_of_a_store(run: Run, cells: Path) -> None:
    run("unetprep import --image img.tif --labels labels.tif --out ds.zarr")
    run(f"unetprep import --image {OWN} --labels {OWN}/labels/instances --out ds.zarr-2")
