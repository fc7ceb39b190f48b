"""Output of `unettrain evaluate`, and its use of a store."""

import json
import re
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from tests.cli.conftest import Run
from tests.trainer.evaluation.helpers import LABELS, NUM_CELLS


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
