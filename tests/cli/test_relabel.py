import json
import shutil
from pathlib import Path

import tifffile

from tests.cli.conftest import Run, labels_of
from tests.pipeline.conftest import tree


def edit(folder: Path) -> None:
    """labels.tif with one cell less; the old one is kept as old.tif."""
    labels = labels_of(folder)
    shutil.move(folder / "labels.tif", folder / "old.tif")
    labels[labels == 7] = 0
    tifffile.imwrite(folder / "labels.tif", labels)


def test_relabel_brings_a_store_up_to_date_and_says_what_it_did(run: Run, cells: Path) -> None:
    run("unetprep weights --in labels.tif --out ds.zarr")
    edit(cells)
    said = run("unetprep relabel ds.zarr --labels labels.tif").stdout.splitlines()
    assert said[:3] == [
        "instances: 1 shards recomputed, 0 kept",
        "target: 1 shards recomputed, 0 kept",
        "weights: 1 shards recomputed, 0 kept",
    ]
    assert said[3].startswith("the class weights follow the labels: ")
    assert said[3].endswith("so all weights were recomputed (--keep-class-weights keeps the numbers)")
    run("unetprep weights --in labels.tif --out scratch.zarr")
    assert tree(cells / "ds.zarr") == tree(cells / "scratch.zarr")
    again = run("unetprep relabel ds.zarr --labels labels.tif").stdout
    assert again == "relabel: nothing to do, the labels are those of ds.zarr\n"


def test_relabel_for_machines(run: Run, cells: Path) -> None:
    run("unetprep weights --in labels.tif --out ds.zarr")
    edit(cells)
    said = json.loads(run("unetprep relabel ds.zarr --labels labels.tif --keep-class-weights --json").stdout)
    assert (said["schema_version"], said["command"], said["status"]) == (1, "relabel", "done")
    assert said["images"] == ["labels"]
    assert said["shards"]["weights"] == {"recomputed": 1, "kept": 0}
    assert said["class_weights"] is None
    assert 0 < said["changed"]["labels"] < 1000


def test_relabel_refuses_what_does_not_fit(run: Run, cells: Path) -> None:
    assert "no.zarr is not there" in run("unetprep relabel no.zarr --labels labels.tif", 3).stderr
    run("unetprep weights --in labels.tif --out ds.zarr")
    tifffile.imwrite(cells / "small.tif", labels_of(cells)[:50])
    assert "small.tif has (1, 50, 110) pixels" in run("unetprep relabel ds.zarr --labels small.tif", 3).stderr
    assert "has no image 'x'" in run("unetprep relabel ds.zarr --labels labels.tif --image x", 3).stderr
    assert "Missing option '--labels'" in run("unetprep relabel ds.zarr", 2).stderr
