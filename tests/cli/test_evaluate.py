"""Output of `unettrain evaluate`, and its use of a store."""

import json
import re
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from tests.cli.conftest import Run
from tests.synthetic import cell_image, cell_labels
from tests.trainer.evaluation.helpers import CELL, LABELS, NUM_CELLS


def test_a_store_says_its_dims_and_its_ignored_pixels(run: Run, tmp_path: Path) -> None:
    volume = np.zeros((3, 30, 30), np.uint8)
    volume[:, 2:8, 2:8], volume[1, 2:8, 8:14], volume[:, 20:26, 20:26] = 1, 2, 200
    np.save(tmp_path / "volume.npy", volume)
    np.save(tmp_path / "grey.npy", volume // 2)
    for dims, cells in ((2, 4), (3, 2)):
        line = (
            f"unetprep import --image grey.npy --labels volume.npy --dims {dims} --ignore-label 200 --out {dims}.zarr"
        )
        run(line)
        image = next((tmp_path / f"{dims}.zarr" / "images").glob("grey*"))
        scores = json.loads(run(f"unettrain evaluate volume.npy {image}/ --json").stdout)
        assert (scores["dims"], scores["dims_reason"], scores["cells"]) == (dims, "as the store says", cells)
        assert (scores["mean_ap"], scores["ignored_proposals"]) == (1, 3 if dims == 2 else 1)
    said = run(f"unettrain evaluate volume.npy {image} --dims 2").stdout
    assert "dims:               2 (--dims; the store says 3)" in said
    assert "--ignore-label is 9, but" in run(f"unettrain evaluate volume.npy {image} --ignore-label 9", 3).stderr


def test_the_output_says_what_was_read(run: Run, tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "cells.png", LABELS.astype(np.uint8))
    said = run("unettrain evaluate cells.png cells.png").stdout
    assert said.startswith(
        f"prediction read as: instance labels ({NUM_CELLS} objects)\nlabels read as:     instance labels ("
    )
    scores = json.loads(run("unettrain evaluate cells.png cells.png --json --prediction mask").stdout)
    assert scores["prediction_kind"] == "mask"
    assert re.match(r"mask \(\d+ objects\)", scores["prediction_read_as"])


def test_images_of_folders_are_scored_each_and_overall(run: Run, tmp_path: Path) -> None:
    for k in range(2):
        for name in ("images", "labels", "found"):
            (tmp_path / name).mkdir(exist_ok=True)
        labels = cell_labels((60, 70), 12, k)
        iio.imwrite(tmp_path / f"images/{k}.png", cell_image(labels))
        iio.imwrite(tmp_path / f"labels/{k}_mask.png", labels)
        iio.imwrite(tmp_path / f"found/{k}.png", np.roll(labels, 1, axis=0))
    said = run("unettrain evaluate found labels -q").stdout
    assert re.search(r"^image +iou +ap 0\.50 +ap mean\n0 .*\n1 .*\noverall \(2\)", said, re.MULTILINE)
    assert "iou: IoU of the foreground, and of each class; higher is better; overall: pixels of all images" in said
    run("unetprep import --image images --labels labels --out ds.zarr --val-fraction 0 --quiet")
    named = "--metrics seg,adapted-rand --csv scores.csv --json -q"
    in_store = json.loads(run(f"unettrain evaluate found ds.zarr --split train {named}").stdout)
    assert [image["name"] for image in in_store["images"]] == ["0", "1"]
    in_files = json.loads(run(f"unettrain evaluate found labels {named}").stdout)
    assert in_store["overall"] == in_files["overall"]
    rows = [line.split(",") for line in (tmp_path / "scores.csv").read_text().splitlines()]
    assert rows[0] == ["image", "metric", "part", "threshold", "value"]
    assert [float(row[4]) for row in rows if row[:3] == ["overall", "seg", "mean"]] == [
        in_files["overall"]["scores"]["seg"]["mean"]
    ]
    (tmp_path / "other.csv").write_text("a,b\n")
    assert "--csv" in run("unettrain evaluate found labels --csv other.csv", 4).stderr


def test_the_best_threshold_is_said_to_be_optimistic(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "cells.npy", CELL.astype(np.float32))
    iio.imwrite(tmp_path / "labels.png", LABELS.astype(np.uint8))
    said = run("unettrain evaluate cells.npy labels.png --metrics pixel_error --threshold 0.45 -q").stdout
    assert re.search(r"^threshold +0 +0\.1 .* 1\npixel_error( +\d\.\d{4}){11}$", said, re.MULTILINE)
    assert re.search(r"best at threshold 0\.\d: 0\.\d+ \(best threshold on these labels: optimistic\)", said)
    assert re.search(r"at threshold 0\.45, fixed beforehand: 0\.\d{4}", said)
    said = run("unettrain evaluate cells.npy labels.png --metrics pixel_error --json -q").stdout
    assert json.loads(said)["overall"]["scores"]["pixel_error"]["threshold"] == 0.5
