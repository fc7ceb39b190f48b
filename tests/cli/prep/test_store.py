"""`unetprep info`, `verify` and `relabel`."""

import json
import shutil
from pathlib import Path

import tifffile

from tests.cli.conftest import Run, labels_of
from tests.pipeline.conftest import tree


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[20] ^= 4
    path.write_bytes(data)


def test_verify_says_what_is_at_fault_and_what_to_do(run: Run, cells: Path) -> None:
    run("unetprep weights --in labels.tif --out ds.zarr")
    said = run("unetprep verify ds.zarr").stdout.splitlines()
    assert len(said) == 1
    assert said[0].startswith("ds.zarr: intact; ")
    assert said[0].endswith("recomputed: 1 of target, 1 of weights")
    flip(cells / "ds.zarr/images/labels/weights/c/0/0/0")
    said = run("unetprep verify ds.zarr", 3).stdout.splitlines()
    shard = "images/labels/weights/c/0/0/0"
    assert said[0] == f"damaged     {shard}: a checksum (crc32c) is wrong: the file is damaged"
    assert said[1].strip().startswith("to do:  delete it (unetprep verify ds.zarr --repair does), then repeat:")
    assert said[-1].startswith("ds.zarr: 1 fault; ")
    values = json.loads(run("unetprep verify ds.zarr --json --workers 1", 3).stdout)
    assert (values["schema_version"], values["command"], values["status"]) == (1, "verify", "at fault")
    assert [(f["kind"], f["path"]) for f in values["faults"]] == [("damaged", shard)]


def test_verify_repairs_so_that_repeating_the_command_mends(run: Run, cells: Path) -> None:
    run("unetprep weights --in labels.tif --out ds.zarr")
    flip(cells / "ds.zarr/images/labels/weights/c/0/0/0")
    assert "note: images/labels/weights/c/0/0/0: deleted" in run("unetprep verify ds.zarr --repair", 3).stdout
    assert not (cells / "ds.zarr/.lock").exists()
    assert "unfinished  images/labels/weights: what computed it was stopped" in run("unetprep verify ds.zarr", 3).stdout
    assert "wrote 1 of 2 shards" in run("unetprep weights --out ds.zarr").stdout
    values = json.loads(run("unetprep verify ds.zarr --all --json").stdout)
    assert (values["status"], values["faults"]) == ("intact", [])


def test_damage_that_a_stage_meets_is_one_message(run: Run, cells: Path) -> None:
    run("unetprep weights --in labels.tif --out ds.zarr")
    key = "images/labels/labels/target/class_counts/c/0/0/0/0"
    flip(cells / "ds.zarr" / key)
    said = run("unetprep weights --out ds.zarr", 1).stderr
    assert said.startswith(f"error: {key}: a checksum (crc32c) is wrong: the file is damaged\n  to do:   unetprep ver")


def test_verify_refuses_what_is_no_store(run: Run, cells: Path) -> None:
    assert "no.zarr is not there" in run("unetprep verify no.zarr", 3).stderr
    assert "samples is -1" in run("unetprep verify no.zarr --samples -1", 3).stderr


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


def test_info_shows_every_array_and_its_state(run: Run, cells: Path) -> None:
    run("unetprep import --image img.tif --labels labels.tif --out ds.zarr")
    run("unetprep weights --out ds.zarr")
    said = run("unetprep info ds.zarr").stdout
    assert "image img  [train]  from img.tif, labels.tif" in said
    assert "finished    1 x 140 x 110  float32" in said
    assert "tiles         missing" in said
    run("unetprep tiles --out ds.zarr --tile 188")
    run("unetprep weights --out ds.zarr --w0 3 --overwrite")
    found = json.loads(run("unetprep info ds.zarr --json").stdout)
    assert found["tiles"]["state"] == "stale"
    assert found["tiles"]["output"] == 4
    assert found["images"][0]["arrays"]["weights"]["parameters"]["w0"] == 3.0


def test_verbose_says_where_an_error_arose(run: Run) -> None:
    assert "Traceback" in run("unetprep info no.zarr -v", 3).stderr
    assert "Traceback" not in run("unetprep info no.zarr", 3).stderr
