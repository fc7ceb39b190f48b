"""`unettrain predict` with folders and stores, files beside the labels, averages, and checks of seams."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.cli.conftest import Run
from unettrain.checkpoint import Checkpoint, save_checkpoint
from unettrain.config import UNetConfig
from unettrain.model import UNet


@pytest.fixture(autouse=True)
def network(cells: Path) -> None:
    """net.pt, a tiny network that nobody trained; raw/a.tif and raw/b.tif, and cells/img.tif."""
    config = UNetConfig(base_channels=2, depth=1)
    save_checkpoint(cells / "net.pt", Checkpoint(config, UNet(config, seed=1).state_dict(), 44, 0, 0))
    (cells / "raw").mkdir()
    for k, name in enumerate("ab"):
        tifffile.imwrite(cells / f"raw/{name}.tif", np.asarray(tifffile.imread(cells / "img.tif"))[: 60 + k])


PREDICT = "unettrain predict net.pt --threads 1 --threshold 0.45"


def test_a_folder_is_predicted_and_then_skipped(run: Run, cells: Path) -> None:
    said = run(f"{PREDICT} raw --out out --also table,overlay,probabilities")
    assert said.stdout == "predict: 2 images\n-> out\n"
    names = [f"{image}{end}" for image in "ab" for end in (".csv", ".overlay.png", ".probabilities.tif", ".tif")]
    assert sorted(path.name for path in Path("out").iterdir()) == names
    again = run(f"{PREDICT} raw/*.tif --out out --also table,overlay,probabilities --json")
    found = json.loads(again.stdout)["predictions"]
    assert [prediction["is_new"] for prediction in found] == [False, False]
    assert run(f"{PREDICT} raw img.tif --out out").stdout == "predict: 1 images, 2 were there already\n-> out\n"
    with Path("out/a.csv").open() as file:
        assert len(list(csv.DictReader(file))) == tifffile.imread("out/a.tif").max()


def test_images_of_a_split(run: Run, cells: Path) -> None:
    run("unetprep import --image img.tif --labels labels.tif --out ds.zarr --test-fraction 0.3")
    run(f"{PREDICT} ds.zarr --split test --out out --format zarr")
    assert [path.name for path in Path("out").iterdir()] == ["img-test.zarr"]
    run(f"{PREDICT} ds.zarr/images/img-test --out one.zarr")
    assert "split is 'test', and raw is no store" in run(f"{PREDICT} raw --split test --out out", 3).stderr


def test_averages_and_seams(run: Run, cells: Path) -> None:
    for tta in (4, 7, 8):
        said = run(f"{PREDICT} img.tif --out p{tta}.npy --tta {tta} --instances none --tile 44 --check-seams")
        assert "; largest seam " in said.stdout
    assert abs(np.load("p4.npy") - np.load("p7.npy")).max() > 1e-3
    assert "Invalid value for '--tta'" in run(f"{PREDICT} img.tif --out p.npy --tta 5", 2).stderr


def test_what_cannot_be_predicted(run: Run, cells: Path) -> None:
    Path("raw/c.png").write_bytes(b"no picture")
    Path("raw/d.npy").write_bytes(b"no array")
    said = run(f"{PREDICT} raw --out out", 3).stderr
    assert "2 images cannot be predicted:" in said
    assert "raw/c.png" in said
    assert "raw/d.npy" in said
    assert not Path("out").exists()
    assert "no file matches raw/*.jpg" in run(f"{PREDICT} raw/*.jpg --out out", 3).stderr
    assert "raw/a.tif and raw/a.tif" in run(f"{PREDICT} raw/a.tif raw --out out", 3).stderr
    assert "Missing argument 'IMAGE...'" in run(f"{PREDICT} --out out", 2).stderr
    assert "check-seams with amp bf16" in run(f"{PREDICT} img.tif --out p.tif --check-seams --amp bf16", 3).stderr
