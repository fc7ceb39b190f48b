"""Faults of labels."""

import json
from pathlib import Path

import numpy as np
import tifffile

from tests.cli.conftest import Run, labels_of


def test_lint_says_what_where_and_what_to_do(run: Run, cells: Path) -> None:
    said = run("unetprep lint labels.tif", 3).stdout.splitlines()
    assert said[0] == "labels.tif  140 x 110 uint16, 40 cells: 1 finding"
    assert said[1].startswith("  touching      pairs of cells without background between them: ")
    assert said[2].startswith("           at:  (")
    assert said[2].endswith("   ...")
    assert "unetprep weights puts background between them (--separate)" in said[3]
    assert len(said) == 4
    clean = run("unetprep lint labels.tif --ignore touching").stdout
    assert clean == "labels.tif  140 x 110 uint16, 40 cells: nothing found\n"


def test_lint_for_machines_is_complete(run: Run, cells: Path) -> None:
    labels = labels_of(cells)
    labels[0, 0] = 1
    tifffile.imwrite(cells / "other.tif", labels * 0 + 7)
    tifffile.imwrite(cells / "labels.tif", labels)
    said = json.loads(run("unetprep lint labels.tif other.tif --json --tiny 2", 3).stdout)
    assert (said["schema_version"], said["command"]) == (1, "lint")
    one, two = said["files"]
    assert [finding["rule"] for finding in one["findings"]] == ["split", "tiny", "touching"]
    assert said["findings"] == 3
    assert one["findings"][0]["places"] == [{"at": [0, 0], "what": {"id": 1, "pieces": 2, "px": 1}}]
    touching = one["findings"][2]
    assert touching["count"] == len(touching["places"]) > 5
    assert (two["path"], two["shape"], two["cells"], two["findings"]) == ("other.tif", [140, 110], 1, [])


def test_lint_refuses_what_it_cannot_read_or_does_not_know(run: Run, cells: Path) -> None:
    assert "no.tif is not there" in run("unetprep lint no.tif", 3).stderr
    assert "connectivity is 6 with dims 2" in run("unetprep lint labels.tif --connectivity 6", 3).stderr
    assert "'typo' is not one of" in run("unetprep lint labels.tif --ignore typo", 2).stderr
    assert "Missing argument" in run("unetprep lint", 2).stderr


def test_lint_takes_volumes_stores_and_ignored_pixels(run: Run, cells: Path) -> None:
    volume = np.zeros((4, 30, 30), np.uint8)
    volume[:, 2:9, 2:9], volume[1:, 20:, 20:], volume[0, 20:, 20:] = 1, 2, 255
    tifffile.imwrite(cells / "volume.tif", volume, photometric="minisblack")
    options = "--dims 3 --ignore-label 255"
    said = run(f"unetprep lint volume.tif {options}").stdout
    assert said == "volume.tif  4 x 30 x 30 uint8, 2 cells: nothing found\n"
    run(f"unetprep weights --in volume.tif --out ds.zarr {options}")
    assert "4 x 30 x 30 int32, 2 cells: nothing found" in run("unetprep lint ds.zarr").stdout
