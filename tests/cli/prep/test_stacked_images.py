"""`unetprep info`, `verify`, `relabel` and `remove` for many small images, which share a stack."""

import json
import re
from pathlib import Path

import pytest
import tifffile

from tests.cli.conftest import Run
from tests.pipeline.conftest import tree
from tests.synthetic import cell_image, cell_labels

MADE = ("import --image images --labels masks --val-fraction 0.2", "weights --class-weights 1,2", "tiles --tile 60")
GEOMETRY = "--depth 2 --margin 8"


@pytest.fixture
def many(run: Run, tmp_path: Path) -> Path:
    """ds.zarr of seventeen images in images/ and masks/, and its tiles."""
    for folder in ("images", "masks", "edited"):
        (tmp_path / folder).mkdir()
    for k in range(17):
        labels = cell_labels((40 + k, 60 - k), 9, seed=k, radius=7)
        tifffile.imwrite(tmp_path / f"images/{k:02}.tif", cell_image(labels))
        tifffile.imwrite(tmp_path / f"masks/{k:02}.tif", labels)
    for command in MADE:
        run(f"unetprep {command} --out ds.zarr {GEOMETRY if command.startswith('tiles') else ''}")
    return tmp_path


def test_info_counts_the_images_of_a_stack(run: Run, many: Path) -> None:
    said = run("unetprep info ds.zarr").stdout
    assert re.search(r"^stacks/0: 17 images  \[(14 train, 3 val|3 val, 14 train)\]  00 to 16$", said, re.MULTILINE)
    assert "finished    17 x 56 x 60  float32" in said
    found = json.loads(run("unetprep info ds.zarr --json").stdout)
    assert found["stacks"][0]["names"] == [f"{k:02}" for k in range(17)]


def test_verify_names_the_image_whose_pixels_are_others(run: Run, many: Path) -> None:
    from unetprep.store import Store

    shards = Store(str(many / "ds.zarr")).shards("stacks/0/image")
    file = many / "ds.zarr/stacks/0/image/c/0/0/0/0"
    values = shards.decode(file.read_bytes())
    values[0, 9, 5, 5] ^= 1
    file.write_bytes(shards.encode(values))
    said = run("unetprep verify ds.zarr --samples 0", 3).stdout.splitlines()
    assert said[0] == ("digest      stacks/0/image/c/0/0/0/0: the pixels of 09 are not those that were imported")


def test_relabel_says_what_it_did(run: Run, many: Path) -> None:
    labels = tifffile.imread(many / "masks/05.tif")
    labels[labels == labels.max()] = 0
    tifffile.imwrite(many / "edited/05.tif", labels)
    before = tree(many / "ds.zarr/stacks/0/image")
    said = run("unetprep relabel ds.zarr --labels edited/05.tif").stdout.splitlines()
    assert said[:3] == [f"{kind}: 1 shards recomputed, 0 kept" for kind in ("instances", "target", "weights")]
    assert tree(many / "ds.zarr/stacks/0/image") == before
    assert run("unetprep verify ds.zarr --all").stdout.startswith("ds.zarr: intact")
    again = run("unetprep relabel ds.zarr --labels edited/05.tif").stdout
    assert again == "relabel: nothing to do, the labels are those of ds.zarr\n"
    tifffile.imwrite(many / "edited/06.tif", labels)
    refused = run("unetprep relabel ds.zarr --labels edited/06.tif", 3).stderr
    assert refused.startswith("error: edited/06.tif has (1, 45, 55) pixels (z, y, x), and 06 (1, 46, 54)")


def test_remove_says_what_is_to_be_done(run: Run, many: Path) -> None:
    said = run("unetprep remove ds.zarr 03 11").stdout
    assert said == (
        "removed 03, 11 from ds.zarr\nthe tiles have to be cut again: unetprep tiles --out ds.zarr --overwrite\n"
    )
    assert "2 removed" in run("unetprep info ds.zarr").stdout
    refused = run("unettrain fit ds.zarr --no-deform --base-channels 2 --steps 1 --threads 1", 3).stderr
    assert refused.startswith("error: tiles/image_index of ds.zarr is not finished")
    assert "Traceback" not in refused
    faults = json.loads(run("unetprep verify ds.zarr --json", 3).stdout)["faults"]
    assert {fault["to_do"] for fault in faults} == {
        "compute it again: unetprep tiles --out ds.zarr --overwrite, with the same options"
    }
    assert "--overwrite" in run(f"unetprep tiles --out ds.zarr --tile 60 {GEOMETRY}", 4).stderr
    run(f"unetprep tiles --out ds.zarr --tile 60 {GEOMETRY} --overwrite")
    assert run("unetprep verify ds.zarr").stdout.startswith("ds.zarr: intact")
    run("unettrain fit ds.zarr --no-deform --base-channels 2 --steps 1 --threads 1")
    assert "nothing to do" in run(f"unetprep {MADE[0]} --out ds.zarr").stdout
    assert "2 removed" in run("unetprep info ds.zarr").stdout


def test_remove_refuses_what_is_not_there(run: Run, many: Path) -> None:
    before = tree(many / "ds.zarr")
    assert "has no image 'x'" in run("unetprep remove ds.zarr 03 x", 3).stderr
    assert "no.zarr is not there" in run("unetprep remove no.zarr 03", 3).stderr
    assert "Missing argument" in run("unetprep remove ds.zarr", 2).stderr
    assert tree(many / "ds.zarr") == before
    done = json.loads(run("unetprep remove ds.zarr 03 --json").stdout)
    assert (done["command"], done["images"], done["tiles"]) == ("remove", ["03"], True)
