"""The measurement of accuracy (`benchmarks.accuracy`): its splits, a training of each data set, and its page."""

import csv
import json
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from benchmarks.accuracy import __main__ as accuracy
from benchmarks.accuracy import budget, one, results, scoring
from benchmarks.accuracy.data import FOLD, isbi2012, nuclei
from benchmarks.accuracy.variants import DATA, VARIANTS

from tests.synthetic import cell_image, cell_labels
from unettrain import trainer

GROUPS = {"256x256-dark": 8, "360x360-dark": 4, "256x320-rgb-bright": 4, "1024x1024-bright": 1}
OURS = {"tile": 204, "base_channels": 2}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with both data sets, of generated cells."""
    for name in ("dsb2018/images", "dsb2018/labels", "isbi2012"):
        (tmp_path / "data" / name).mkdir(parents=True)
    base = tmp_path / "data/dsb2018"
    with (base / "index.csv").open("w") as file:
        lines = csv.writer(file)
        lines.writerow(["name", "group"])
        for number, group in enumerate(GROUPS):
            for k in range(GROUPS[group]):
                labels = cell_labels((96, 96), 12, 10 * number + k)
                gray = cell_image(labels, k)
                imageio.imwrite(base / f"images/{group}{k}.png", np.stack([gray] * 3, -1) if "rgb" in group else gray)
                tifffile.imwrite(base / f"labels/{group}{k}.tif", labels)
                lines.writerow([f"{group}{k}", group])
    masks = np.stack([np.where(cell_labels((96, 96), 12, z) > 0, 255, 0) for z in range(30)]).astype(np.uint8)
    tifffile.imwrite(tmp_path / "data/isbi2012/train-labels.tif", masks)
    tifffile.imwrite(tmp_path / "data/isbi2012/train-volume.tif", masks // 2 + 20)
    return tmp_path / "data"


def request(folder: Path, name: str, seed: int) -> dict[str, Any]:
    """A short training of this project."""
    return {
        "data": name, "folder": str(folder), "fold": 4, "size": "smoke", "build": str(folder.parent / "build"),
        "variant": "unettrain", "method": "ours", "options": OURS, "seed": seed, "budget_seconds": 0.5,
        "averaged": name == "isbi2012",
    }  # fmt: skip


def test_nuclei_are_split_within_each_kind_and_colours_become_gray(folder: Path) -> None:
    found = nuclei(folder / "dsb2018")
    names = {split: [s.name for s in found.of(split)] for split in ("train", "val", "test")}
    every = sorted(f"{group}{k}" for group, num in GROUPS.items() for k in range(num))
    assert sorted([*names["train"], *names["val"], *names["test"]]) == every
    kinds = {split: [s.kind for s in found.of(split)] for split in names}
    assert kinds["test"].count("fluorescence, 256 px") == 3
    assert kinds["val"].count("fluorescence, 256 px") == 1
    assert kinds["test"].count("stained tissue") == 1
    assert kinds["train"].count("bright field") == 1
    assert all(s.image.shape == s.labels.shape for split in names for s in found.of(split))


def test_every_slice_is_tested_in_one_fold_and_the_slices_before_it_validate(folder: Path) -> None:
    folds = [isbi2012(folder / "isbi2012", fold) for fold in range(5)]
    assert sorted(s.name for fold in folds for s in fold.test) == [f"slice{z:02}" for z in range(30)]
    for fold in folds:
        split = [{s.name for s in fold.of(split)} for split in ("train", "val", "test")]
        assert [len(s) for s in split] == [20, 4, FOLD]
        assert len(set.union(*split)) == 30
    assert [s.name for s in folds[4].test] == [f"slice{z}" for z in range(24, 30)]
    assert [s.name for s in folds[4].val] == [f"slice{z}" for z in range(20, 24)]
    assert folds[4].test[0].labels.max() == len(np.unique(folds[4].test[0].labels)) - 1


@pytest.mark.e2e
def test_trainings_are_scored_and_the_page_is_written_of_their_records(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (scoring, trainer):  # the choice of a decoding has tests of its own, and takes a minute of noise
        monkeypatch.setattr(module, "candidate_decodings", lambda base: (base,))
    build = tmp_path / "build"
    build.mkdir()
    for name in DATA:
        for seed in (0, 1):
            asked = build / f"{name}-ask-{seed}.request.json"
            asked.write_text(json.dumps(request(folder, name, seed)))
            one.main(str(asked), str(build / f"{name}-unettrain-4-{seed}.json"))
        accuracy.write_results(name, "cpu", build, tmp_path / "results", {4: dict.fromkeys(results.METRICS, 0.5)})
    found = json.loads((tmp_path / "results/isbi2012.json").read_text())
    first = found["runs"][0]
    assert first["steps"] >= 2
    assert first["images"] == {"train": 7, "val": 2, "test": 2}
    assert 0 <= first["scores"]["challenge"]["v_rand"]["fixed"] <= first["scores"]["challenge"]["v_rand"]["best"] <= 1
    assert first["fingerprint"] == found["runs"][1]["fingerprint"]
    (tmp_path / "results/demo.json").write_text('{"runs": []}')
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(results, "DOCS", tmp_path)
    results.main()
    page = (tmp_path / "results.md").read_text()
    mean = np.mean([run["scores"]["challenge"]["v_rand"]["best"] for run in found["runs"]])
    assert f"**{mean:.4f}**" in page
    assert "| *true labels of the slice before* |  |  | 0.5000 |" in page
    for name in DATA:
        assert f"](results-{name}-peers.svg)" in page
        dots = (tmp_path / f"results-{name}-peers.svg").read_text().count("<circle")
        assert dots == (4 if name == "isbi2012" else 2)  # there, also of predictions averaged over turned images
    assert page.count("| unettrain, averaged: ") == 2


def test_the_command_makes_the_trainings_of_a_size_that_are_missing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[dict[str, Any]] = []

    def train(asked: dict[str, Any], record: Path) -> None:
        made.append(asked)
        ap = {"0.50": 0.5, "0.70": 0.3}
        found = {"steps": 1, "scores": {"chosen": {"ap": ap}, "challenge": {"v_rand": {"best": 0.9}}}}
        record.write_text(json.dumps(asked | found))

    def command(line: str) -> list[dict[str, Any]]:
        made.clear()
        words = ["accuracy", *line.split(), "--data", str(folder), "--build", str(tmp_path), "--results", str(tmp_path)]
        monkeypatch.setattr("sys.argv", words)
        accuracy.main()
        return made

    monkeypatch.setattr(accuracy, "verify_local", lambda name, where: None)
    monkeypatch.setattr(accuracy, "train", train)
    smoke = command("isbi2012 --size smoke --folds")
    assert [(asked["fold"], asked["seed"], asked["budget_seconds"]) for asked in smoke] == [(f, 0, 4) for f in range(5)]
    written = json.loads((tmp_path / "isbi2012-smoke.json").read_text())
    assert [run["fold"] for run in written["runs"]] == list(range(5))
    assert len(written["floor"]) == 5
    assert not command("isbi2012 --size smoke --folds"), "made already"
    assert len(command("isbi2012 --size smoke --seconds 9")) == 1
    full = command("nuclei --size full")
    assert [(asked["seed"], asked["options"]["device"]) for asked in full] == [(seed, "cuda") for seed in range(3)]
    assert (tmp_path / "nuclei-full.json").exists()
    for line, message in (("nuclei --folds", "only isbi2012"), ("nuclei --groups theirs", "allowed are ours")):
        with pytest.raises(SystemExit):
            command(line)
        assert message in capsys.readouterr().err


def test_names_of_variants_differ_and_every_method_is_a_module() -> None:
    assert len({variant.name for variant in VARIANTS}) == len(VARIANTS)
    methods = Path(one.__file__).parent / "methods"
    assert all((methods / f"{variant.method}.py").exists() for variant in VARIANTS)


def test_a_budget_leaves_out_what_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(budget, "clock_of", lambda device: lambda: now[0])
    counted = budget.Budget(10)
    for step, is_counted in ((2, True), (5, False), (1, True), (4, False)):
        if is_counted:
            counted.resume()
        else:
            counted.stop()
        now[0] += step
    assert counted.used == 3
    counted.resume()
    now[0] += 7
    assert (counted.used, counted.fraction) == (10, 1)
