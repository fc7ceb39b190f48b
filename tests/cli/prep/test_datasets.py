"""The list of public data sets, and what the manifests and docs/datasets.md say of them."""

import json
import re
import shlex
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from tests.cli.conftest import Run
from unetcli.prep.datasets import row
from unetcli.prep.main import main
from unetprep import datasets
from unetprep.fetching import manifest_names, read_manifest
from unetprep.store import Store

ROOT = Path(__file__).parents[3]


def test_the_data_sets_are_listed(run: Run) -> None:
    lines = run("unetprep datasets").stdout.splitlines()
    assert lines[0].split() == ["name", "images", "cells", "size", "terms", "source", "fetch"]
    assert [line.split()[0] for line in lines[1:]] == manifest_names()
    values = json.loads(run("unetprep datasets --json").stdout)
    (isbi,) = (found for found in values["datasets"] if found["name"] == "isbi2012")
    assert (isbi["images"], isbi["license"], isbi["kind"], isbi["fetchable"]) == (30, "non-commercial", "http", True)


def test_one_data_set_is_shown_in_full(run: Run) -> None:
    shown = run("unetprep datasets ISBI2012").stdout
    manifest = read_manifest("isbi2012")
    texts = (manifest.terms, manifest.cite, manifest.home, manifest.pixel_size, manifest.labels, manifest.split)
    for text in (*texts, *(file.pixels for file in manifest.files), manifest.import_command(Path("data/isbi2012"))):
        assert text
        assert text in shown
    assert "ISBI-2012-challenge.zip  digest unknown" in shown
    assert "no data set is called 'other'" in run("unetprep datasets other", 3).stderr


@pytest.mark.parametrize("name", manifest_names())
def test_a_manifest_states_what_a_user_must_know(name: str) -> None:
    manifest = read_manifest(name)
    for field in ("license", "cite", "home", "cells", "pixel_size", "labels", "split", "digest_origin"):
        assert getattr(manifest, field), field
    assert all(each.url.startswith("https://") for each in manifest.archives)
    command = shlex.split(manifest.import_command(Path("data") / name))
    if command:
        main.commands["import"].make_context("import", command[2:])
    else:
        assert name == "dsb2018-selection", "the labels text says why"


def test_the_guide_lists_the_data_sets() -> None:
    guide = (ROOT / "docs/datasets.md").read_text()
    listed = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in re.findall(r"^\| `.*$", guide, re.MULTILINE)
    ]
    assert [cells[:7] for cells in listed if len(cells) == 7] == [list(row(manifest)) for manifest in datasets()]


def test_the_masks_of_bbbc039_are_read_as_its_manifest_says(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mask = np.zeros((20, 30, 4), np.uint8)
    mask[2:8, 2:8, 0], mask[2:8, 8:14, 0], mask[12:18, 2:8, 0] = 1, 2, 1  # two that touch, and one of the first value
    for folder, pixels in (("images", mask[..., 0] * np.uint16(900)), ("masks", mask)):
        (tmp_path / "data/bbbc039" / folder).mkdir(parents=True)
        imagecodecs.imwrite(f"data/bbbc039/{folder}/a.png", pixels)
    command = read_manifest("bbbc039").import_command(Path("data/bbbc039"))
    assert command in (ROOT / "docs/datasets.md").read_text()
    run(command)
    labels = np.asarray(Store.open("bbbc039.zarr").array("images/a/labels/instances/instances")[:])[0]
    assert (labels[3, 3], labels[3, 10], labels[15, 3], labels[0, 0]) == (1, 2, 3, 0)
