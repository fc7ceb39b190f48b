"""The whole job as a user would run it: whole processes, and a network that really learns."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile

from tests.synthetic import cell_image, cell_labels

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"  # real images beside the checkout, where somebody has them
LEARN = "--base-channels 8 --steps 200 --optimizer adam --learning-rate 0.001 --validate-every 50 --threads 1"


def run(folder: Path, line: str) -> Any:
    """Run a command line in a process of its own; what it printed as JSON."""
    program, *words = line.split()
    code = f"from unetcli.entry import {program}; {program}()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "--json"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return json.loads(done.stdout)


def train_and_report(folder: Path, source: str, tiles: str) -> Any:
    run(folder, f"unetprep import {source} --out ds.zarr --val-fraction 0.15 --test-fraction 0.25")
    run(folder, "unetprep weights --out ds.zarr")
    run(folder, "unetprep deform --out ds.zarr --fields 100")
    run(folder, f"unetprep tiles --out ds.zarr {tiles}")
    assert run(folder, f"unettrain fit ds.zarr --run run {LEARN}")["updates"] == 200
    return run(folder, "unettrain report run")["scores"]


@pytest.mark.e2e
def test_synthetic_cells_are_learned(tmp_path: Path) -> None:
    labels = cell_labels((300, 260), 120, radius=11)
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    tifffile.imwrite(tmp_path / "img.tif", cell_image(labels))
    scores = train_and_report(tmp_path, "--image img.tif --labels labels.tif", "--depth 2 --tile 140 --margin 48")
    trained, untrained = scores["trained"], scores["untrained"]
    assert trained["iou"] > max(0.8, untrained["iou"] + 0.2)
    assert trained["ap"]["0.50"] > untrained["ap"]["0.50"] + 0.3

    run(tmp_path, "unettrain predict run ds.zarr/images/img-test --out p.npy --threads 1")
    alone = run(tmp_path, "unettrain evaluate p.npy ds.zarr/images/img-test")
    assert {k: alone[k] for k in ("iou", "ap", "cells")} == {k: trained[k] for k in ("iou", "ap", "cells")}


@pytest.mark.e2e
@pytest.mark.skipif(not REAL_DATA.exists(), reason="no real images beside the checkout")
def test_real_nuclei_of_many_sizes_are_learned(tmp_path: Path) -> None:
    chosen = []
    for path in sorted((REAL_DATA / "dsb2018" / "images").glob("*.png")):
        labels = tifffile.imread(path.parents[1] / "labels" / f"{path.stem}.tif")
        image = np.asarray(imageio.imread(path, plugin="pillow"))
        if image.ndim == 2 and image.mean() < 60 and labels.size <= 260 * 350:
            chosen.append(path)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for path in chosen[:12]:
        (tmp_path / "images" / path.name).symlink_to(path)
        label = path.parents[1] / "labels" / f"{path.stem}.tif"
        (tmp_path / "labels" / label.name).symlink_to(label)
    scores = train_and_report(tmp_path, "--image images --labels labels", "--depth 2 --tile 140 --margin 48")
    assert scores["trained"]["images"] == 3
    assert scores["trained"]["iou"] > max(0.6, scores["untrained"]["iou"] + 0.2)
