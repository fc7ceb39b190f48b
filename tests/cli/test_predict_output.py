"""What `unettrain predict` writes and replaces, and what is left when it is stopped."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from tests.cli.conftest import Run
from tests.cli.test_running import until
from tests.pipeline.conftest import tree
from unetprep.sources import open_source
from unetprep.sources.calibration import Calibration, read_calibration
from unettrain.checkpoint import Checkpoint, save_checkpoint
from unettrain.config import UNetConfig
from unettrain.model import UNet
from unettrain.prediction import job

PREDICT = "unettrain predict net.pt img.tif --threads 1 --tile 44"


@pytest.fixture(autouse=True)
def network(cells: Path) -> Path:
    """net.pt: a tiny network that nobody trained; and cells/img.tif."""
    config = UNetConfig(base_channels=2, depth=1)
    save_checkpoint(cells / "net.pt", Checkpoint(config, UNet(config, seed=1).state_dict(), 44, 0, 0))
    return cells / "net.pt"


def spoiled(run: Run, line: str, code: int, message: str) -> None:
    """Expect a refusal that changes nothing at all, with and without --overwrite."""
    before = tree(Path())
    for option in ("", " --overwrite"):
        assert message in run(line + option, code).stderr
        assert tree(Path()) == before


def test_neither_the_input_nor_anything_around_it_is_replaced(run: Run, cells: Path) -> None:
    run("unetprep import --image img.tif --labels labels.tif --out ds.zarr")
    os.link("img.tif", "hard.tif")
    os.symlink("img.tif", "link.tif")
    stored = "unettrain predict net.pt ds.zarr/images/img"
    spoiled(run, f"{stored} --out ds.zarr", 3, "--out ds.zarr holds the input ds.zarr/images/img")
    spoiled(run, f"{stored} --out ds.zarr/p.zarr", 3, "lies inside the Zarr hierarchy")
    spoiled(run, f"{stored} --out ds.zarr/images/img/p.tif", 3, "lies inside the Zarr hierarchy")
    spoiled(run, f"{PREDICT} --out ds.zarr", 4, "ds.zarr is a folder that unettrain predict did not write")
    for out in ("img.tif", "hard.tif", "link.tif", "./img.tif"):
        spoiled(run, f"{PREDICT} --out {out}", 3, "is the input img.tif")
    shutil.copy("net.pt", "net.npy")
    spoiled(run, "unettrain predict net.npy img.tif --out net.npy", 3, "is the input net.npy")


@pytest.mark.parametrize("instances", ["watershed", "none"])
@pytest.mark.parametrize("ending", [".tif", ".npy", ".zarr", ".png"])
def test_only_a_prediction_is_replaced(run: Run, cells: Path, ending: str, instances: str) -> None:
    if (ending, instances) == (".png", "none"):
        assert "a name that ends in .tif" in run(f"{PREDICT} --out p.png --instances none", 3).stderr
        return
    predict = f"{PREDICT} --instances {instances}"
    (cells / "folder").mkdir()
    (cells / "folder/mine.txt").write_text("mine")
    os.rename("folder", f"mine{ending}")
    spoiled(run, f"{predict} --out mine{ending}", 4, f"mine{ending} is a folder that unettrain predict did not write")
    (cells / f"file{ending}").write_text("mine")
    spoiled(run, f"{predict} --out file{ending}", 4, f"file{ending} is a file that unettrain predict did not write")
    spoiled(run, f"{predict} --out s3://bucket/p{ending}", 3, "allowed: a path on this machine")
    run(f"{predict} --out p{ending}")
    before = tree(cells)
    assert f"p{ending} already exists" in run(f"{predict} --out p{ending} --tta 4", 4).stderr
    assert "nothing to do" in run(f"{predict} --out p{ending} --tile 60").stdout
    assert tree(cells) == before
    run(f"{predict} --tta 4 --out new/p{ending}")
    run(f"{predict} --tta 4 --out p{ending} --overwrite")
    assert {k: v for k, v in tree(cells).items() if f"p{ending}" in str(k)} != before
    assert not list(cells.rglob(".*"))


def test_an_error_while_predicting_leaves_nothing(run: Run, cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(f"{PREDICT} --out p.zarr")
    before = tree(cells)

    def broken(*_: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr("unettrain.prediction.panels.StripNetwork", broken)
    for out in ("p.zarr", "new/p.tif"):
        assert "the disk is gone" in run(f"{PREDICT} --out {out} --overwrite --tta 4", 1).stderr
    assert tree(cells) == before
    assert not (cells / "new").exists()


def test_too_little_memory_is_told_before_anything_is_computed(
    run: Run, cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "available_memory", lambda: 1000)
    monkeypatch.setattr("unettrain.prediction.averaging.predict_units", pytest.fail)
    said = run(f"{PREDICT} --out p.tif", 1).stderr
    assert re.search(r"predicting img.tif takes [\d.]+ GiB of memory.*\n  allowed: 0.00 GiB, which is available", said)
    monkeypatch.undo()
    os.chdir(cells)
    monkeypatch.setattr(job, "available_memory", lambda: None)
    run(f"{PREDICT} --out p.tif")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_prediction_leaves_the_old_one_and_continues(run: Run, cells: Path, how: signal.Signals) -> None:
    tifffile.imwrite("large.tif", np.random.default_rng(0).integers(0, 255, (2200, 2200), np.uint8), tile=(256, 256))
    predict = "unettrain predict net.pt large.tif --tile 1116 --threads 1 --instances none"
    run(f"{predict} --out whole.npy")
    run(f"{PREDICT} --out p.npy --instances none")
    before, work = tree(cells), cells / ".unettrain-predict-p.npy"
    line = [*predict.split()[1:], "--out", "p.npy", "--overwrite", "-q"]
    slow = "import time; from unettrain.prediction import averaging, work_folder as w; w.SECONDS_BETWEEN_RECORDS = 0\n"
    slow += "f = w.WorkFolder.reached\nw.WorkFolder.reached = lambda *a: (f(*a), time.sleep(0.02))\n"
    program = (sys.executable, "-c", f"{slow}from unetcli.train.main import main; main()")
    with subprocess.Popen([*program, *line], cwd=cells, stderr=subprocess.PIPE, text=True) as process:
        try:
            until(lambda: (work / "record.json").exists())
            process.send_signal(how)
            said = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert {path: content for path, content in tree(cells).items() if work.name not in str(path)} == before
    if how == signal.SIGKILL:
        assert process.returncode == -how
    else:
        assert process.returncode == 75
        assert "error: stopped; the same command goes on from here\n" in said
    assert json.loads((work / "record.json").read_text())["unit"] > 0
    run(f"{predict} --out p.npy --overwrite")
    np.testing.assert_array_equal(np.load("p.npy"), np.load("whole.npy"))
    assert not list(cells.glob(".*"))


VOLUME = np.random.default_rng(0).integers(0, 255, (3, 30, 40)).astype(np.uint8)


def imagej(name: str) -> str:
    about = {"axes": "ZYX", "spacing": 1.567, "unit": "um"}
    tifffile.imwrite(name, VOLUME, imagej=True, resolution=(1 / 0.15, 1 / 0.235), metadata=about)
    return name


def imagej_without_spacing(name: str) -> str:
    about = {"axes": "ZYX", "unit": "micron"}
    tifffile.imwrite(name, VOLUME, imagej=True, resolution=(1 / 0.15, 1 / 0.235), metadata=about)
    return name


def imagej_in_pixels(name: str) -> str:
    tifffile.imwrite(name, VOLUME, imagej=True, resolution=(1, 1), metadata={"axes": "ZYX", "unit": "pixel"})
    return name


def ome(name: str) -> str:
    sizes = {"PhysicalSizeX": 150, "PhysicalSizeY": 235, "PhysicalSizeZ": 1567}
    about = {"axes": "ZYX", **sizes, **{f"{size}Unit": "nm" for size in sizes}}
    tifffile.imwrite(name, VOLUME, ome=True, metadata=about)
    return name


def ome_without_sizes(name: str) -> str:
    tifffile.imwrite(name, VOLUME, ome=True, metadata={"axes": "ZYX"})
    return name


def plain(name: str) -> str:
    tifffile.imwrite(name, VOLUME[0], resolution=(300, 200), resolutionunit="INCH")
    return name


def plain_without_sizes(name: str) -> str:
    tifffile.imwrite(name, VOLUME[0])
    return name


def ome_zarr(name: str, unit: str | None = "micrometer", ours: dict[str, Any] | None = None) -> str:
    path = name.replace(".tif", ".zarr")
    axes = [{"name": axis, "type": "space", **({"unit": unit} if unit else {})} for axis in "zyx"]
    steps = [{"type": "scale", "scale": [1.567, 0.235, 0.15]}]
    image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}
    attributes = {"ome": {"version": "0.5", "multiscales": [image]}} | ({"unetprep": ours} if ours is not None else {})
    zarr.create_group(path, attributes=attributes).create_array("0", data=VOLUME)
    return path


def ome_zarr_without_unit(name: str) -> str:
    return ome_zarr(name, None)


def stored(name: str) -> str:
    return ome_zarr(name, None, {"spacing": [1.567, 0.235, 0.15], "unit": "micrometer", "intensity": [0, 255]})


def stored_without_sizes(name: str) -> str:
    return ome_zarr(name, "micrometer", {"intensity": [0, 255]})


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (imagej, Calibration(1.567, 0.235, 0.15, "micrometer")),
        (imagej_without_spacing, Calibration(None, 0.235, 0.15, "micrometer")),
        (imagej_in_pixels, None),
        (ome, Calibration(1567, 235, 150, "nanometer")),
        (ome_without_sizes, None),
        (plain, Calibration(None, 1 / 200, 1 / 300, "inch")),
        (plain_without_sizes, None),
        (ome_zarr, Calibration(1.567, 0.235, 0.15, "micrometer")),
        (ome_zarr_without_unit, None),
        (stored, Calibration(1.567, 0.235, 0.15, "micrometer")),
        (stored_without_sizes, None),
    ],
)
def test_the_pixel_size_of_the_image_is_that_of_the_prediction(
    run: Run, make: Callable[[str], str], expected: Calibration | None
) -> None:
    image = make("volume.tif")
    run(f"unettrain predict net.pt {image} --out p.tif --instances none --threads 1")
    run(f"unettrain predict net.pt {image} --out cells.tif --threads 1")
    for path in (image, "p.tif", "cells.tif"):
        found = read_calibration(open_source(path))
        assert (found is None) == (expected is None), path
        if found and expected:
            assert (found.unit, found.z is None) == (expected.unit, expected.z is None)
            assert sizes_of(found) == pytest.approx(sizes_of(expected), rel=1e-6)


def sizes_of(calibration: Calibration) -> tuple[float, float, float]:
    return calibration.z or 0, calibration.y, calibration.x


@pytest.mark.parametrize(("axes", "sizes"), [("zxy", (1.567, 0.15, 0.235)), ("xzy", (0.235, 0.15, 1.567))])
def test_sizes_follow_the_axes_that_the_user_names(run: Run, axes: str, sizes: tuple[float, ...]) -> None:
    imagej("volume.tif")
    found = read_calibration(open_source("volume.tif", axes))
    assert found is not None
    assert sizes_of(found) == pytest.approx(sizes, rel=1e-6)


def test_a_picture_states_no_size(run: Run, cells: Path) -> None:
    np.save("volume.npy", VOLUME)
    assert read_calibration(open_source("volume.npy")) is None


def test_probabilities_are_evaluated_at_the_threshold_that_they_record(run: Run) -> None:
    run(f"{PREDICT} --out first.npy --instances none")
    middle = round(float(np.median(np.load("first.npy"))), 4)
    expected = json.loads(run(f"unettrain evaluate first.npy labels.tif --threshold {middle} --json").stdout)
    assert expected["threshold"] == middle != 0.5
    for name in ("p.npy", "p.tif", "p.zarr"):
        run(f"{PREDICT} --out {name} --instances none --threshold {middle}")
        found = json.loads(run(f"unettrain evaluate {name} labels.tif --json").stdout)
        assert (found["threshold"], found["iou"]) == (middle, expected["iou"])
        assert found["prediction_read_as"].startswith(
            f"probability (threshold as predict recorded it, foreground > {middle}"
        )
        assert (
            json.loads(run(f"unettrain evaluate {name} labels.tif --threshold 0.5 --json").stdout)["threshold"] == 0.5
        )
    scores = json.loads(run("unettrain evaluate p.npy labels.tif --metrics iou,pixel_error --json").stdout)
    assert scores["overall"]["scores"]["iou"]["foreground"] == expected["iou"]
    assert scores["overall"]["scores"]["pixel_error"]["threshold"] == middle


def test_class_probabilities_keep_the_threshold_that_they_record(run: Run, cells: Path) -> None:
    config = UNetConfig(base_channels=2, depth=1, num_classes=3)
    save_checkpoint(cells / "net.pt", Checkpoint(config, UNet(config, seed=1).state_dict(), 44, 0, 0))
    classes = np.minimum(tifffile.imread("labels.tif"), 2).astype(np.uint8)
    tifffile.imwrite("classes.tif", classes)
    found = {}
    for name in ("p.npy", "p.tif", "p.zarr"):
        run(f"{PREDICT} --out {name} --instances none --threshold 0.3")
        line = f"unettrain evaluate {name} classes.tif --num-classes 3 --metrics iou,pixel_error --json"
        found[name] = json.loads(run(line).stdout)["overall"]["scores"]
        assert found[name]["pixel_error"]["threshold"] == 0.3
    assert found["p.npy"] == found["p.tif"] == found["p.zarr"]


def test_probabilities_of_different_thresholds_are_not_pooled(run: Run, cells: Path) -> None:
    for name, threshold in (("a", 0.3), ("b", 0.6)):
        (cells / "truth").mkdir(exist_ok=True)
        shutil.copy("labels.tif", f"truth/{name}.tif")
        run(f"{PREDICT} --out many/{name}.tif --instances none --threshold {threshold}")
    refused = run("unettrain evaluate many truth", 3).stderr
    assert "the threshold of many/a.tif is 0.3, that of many/b.tif 0.6" in refused
    scores = json.loads(run("unettrain evaluate many truth --threshold 0.3 --json").stdout)
    assert len(scores["images"]) == 2
