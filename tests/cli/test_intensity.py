"""Intensities from import to prediction: hot pixels, other dtypes, parts of an image, stores of older releases."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray

from tests.cli.conftest import Run
from unettrain.checkpoint import load_checkpoint

FIT = (
    "--base-channels 4 --steps 60 --batch-size 2 --threads 1 --validate-every 60"
    " --optimizer adam --learning-rate 0.003 --no-deform --schedule constant --dropout 0.5"
)
HOT = (70, 50)


def made(run: Run, image: NDArray[Any], options: str = "") -> dict[str, Any]:
    """ds.zarr from an image and the labels of the fixture, with tiles; what import said."""
    tifffile.imwrite("img.tif", image)
    said = run(f"unetprep import --image img.tif --labels labels.tif --out ds.zarr --json {options}").stdout
    run("unetprep weights --out ds.zarr --class-weights none")
    run("unetprep tiles --out ds.zarr --depth 2 --tile 100 --margin 48")
    (stage,) = json.loads(said)["stages"]
    return dict(stage)


def predicted(run: Run, image: NDArray[Any], options: str = "") -> tuple[NDArray[np.float32], dict[str, Any]]:
    """The prediction of an image, and what predict said."""
    tifffile.imwrite("new.tif", image)
    line = f"unettrain predict runs/ds new.tif --out p.npy --instances none --threads 1 --overwrite --json {options}"
    said = json.loads(run(line).stdout)
    return np.load("p.npy"), said


def with_hot_pixel(image: NDArray[Any]) -> NDArray[Any]:
    faulty = image.copy()
    faulty[HOT] = 65535
    return faulty


@pytest.fixture
def image(cells: Path) -> NDArray[np.uint16]:
    """The image of the fixture as 12 bits."""
    return np.asarray(tifffile.imread(cells / "img.tif")).astype(np.uint16) * 16


def overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """IoU of two predictions, each of which finds cells and background."""
    assert 0.2 < (a > 0.5).mean() < 0.9
    return float(((a > 0.5) & (b > 0.5)).sum() / ((a > 0.5) | (b > 0.5)).sum())


def test_a_hot_pixel_changes_neither_training_nor_prediction(run: Run, image: NDArray[np.uint16]) -> None:
    said = made(run, with_hot_pixel(image))
    assert said["ranges"]["img"]["intensity"] == said["ranges"]["img"]["percentiles"]
    assert said["ranges"]["img"]["intensity"][1] < 4095 < said["ranges"]["img"]["extremes"][1] == 65535
    (warning,) = said["warnings"]
    assert warning.startswith("img: values reach from 0 to 65535")
    run(f"unettrain fit ds.zarr {FIT}")
    clean, about = predicted(run, image)
    assert about["warnings"] == []
    faulty, about = predicted(run, with_hot_pixel(image))
    assert about["intensity"] == said["ranges"]["img"]["intensity"]
    assert "clipped to -0.5 to 1.5" in about["warnings"][0]
    assert overlap(clean, faulty) > 0.98
    assert abs(clean - faulty).mean() < 0.005

    wide, about = predicted(run, (image // 16).astype(np.uint8))
    assert overlap(clean, wide) > 0.98
    assert "the image has dtype uint8, the training images had uint16" in about["warnings"][0]

    part, _ = predicted(run, image[:80])
    assert overlap(clean[:60], part[:60]) > 0.95
    part, about = predicted(run, image[:80], "--intensity {},{}".format(*said["ranges"]["img"]["intensity"]))
    np.testing.assert_allclose(part[:40], clean[:40], atol=1e-4)


def test_a_network_of_bytes_predicts_the_same_picture_of_words(run: Run, image: NDArray[np.uint16]) -> None:
    made(run, (image // 16).astype(np.uint8))
    run(f"unettrain fit ds.zarr {FIT}")
    trained = load_checkpoint("runs/ds/last.pt")
    assert (trained.intensity_rule, trained.image_dtype) == ("dtype", "uint8")
    assert trained.training_intensity["range"] == [0, 255]
    base, about = predicted(run, (image // 16).astype(np.uint8))
    assert (about["intensity"], about["warnings"]) == ([0, 255], [])
    for other in (image // 16 * 257, image, (image / 4096).astype(np.float32)):
        found, about = predicted(run, other)
        assert overlap(base, found) > 0.97
        assert "the training images had uint8" in about["warnings"][0]
    _, about = predicted(run, (image // 160).astype(np.uint8))
    assert "over 4 times more or less than those of the training images" in about["warnings"][0]


def test_what_predict_warns_of_goes_to_stderr(run: Run, image: NDArray[np.uint16]) -> None:
    made(run, image)
    run(f"unettrain fit ds.zarr {FIT} --steps 1")
    tifffile.imwrite("hot.tif", with_hot_pixel(image))
    said = run("unettrain predict runs/ds hot.tif --out p.npy --threads 1 -q")
    assert said.stderr.startswith("Warning: scaled by ")
    assert "Warning" not in said.stdout
    assert "with intensity 0,65535" in run("unettrain predict runs/ds hot.tif --out q.npy --intensity minmax").stdout
    refused = run("unettrain predict runs/ds hot.tif --out r.npy --intensity 5,3", 3).stderr
    assert "intensity is '5,3'\n  allowed: two numbers LOW,HIGH" in refused


def test_a_store_of_an_older_release_keeps_its_ranges(run: Run, image: NDArray[np.uint16]) -> None:
    """It says auto too, with the least and the greatest value, and records no percentiles."""
    made(run, image, "--intensity minmax")
    for path, key in (("images/img", "percentiles"), ("tiles", "training_intensity")):
        group = zarr.open_group("ds.zarr", path=path)
        about: Any = group.attrs["unetprep"]
        group.attrs["unetprep"] = {k: v for k, v in about.items() if k not in (key, "checksum")} | {
            "intensity_rule": "auto"
        }
    run(f"unettrain fit ds.zarr {FIT} --steps 1")
    trained = load_checkpoint("runs/ds/last.pt")
    assert (trained.intensity_rule, trained.image_dtype, trained.training_intensity) == ("minmax", "uint16", {})
    assert predicted(run, with_hot_pixel(image))[1]["intensity"] == [0, 65535]
    refused = run("unetprep import --image img.tif --labels labels.tif --out ds.zarr", 4).stderr
    assert "intensity is [" in refused
    assert "--overwrite" in refused
