import json
from pathlib import Path

from tests.cli.conftest import Run


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
