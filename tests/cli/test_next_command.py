"""The command that is suggested when a command has ended: exact, and the one that was needed next."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from tests.cli.conftest import Run
from unetcli.prep import main as prep
from unettrain.training_loop import FitResult

IMPORT = "unetprep import --image img.tif --labels labels.tif --out"


def suggested(stderr: str) -> str:
    """The command in the last line of stderr; "" if there is none."""
    *_, last = stderr.splitlines() or [""]
    return last.removeprefix("next: ") if last.startswith("next: ") else ""


def test_following_the_suggestions_leads_from_images_to_the_training(run: Run, cells: Path) -> None:
    extra = {"unetprep weights": "--sigma 3", "unetprep deform": "--fields 2", "unetprep tiles": "--tile 60 --depth 2"}
    line, seen = f"{IMPORT} ds.zarr --val-fraction 0.3", list[str]()
    while not line.startswith("unettrain"):
        seen.append(" ".join(line.split()[:2]))
        line = suggested(run(f"{line} {extra.get(seen[-1], '')}").stderr)
    assert seen == ["unetprep import", "unetprep weights", "unetprep deform", "unetprep tiles"]
    assert line == "unettrain fit ds.zarr"
    assert suggested(run("unetprep info ds.zarr").stderr) == line
    assert suggested(run("unetprep preview ds.zarr --out p.png").stderr) == line
    assert suggested(run("unetprep preview ds.zarr --fields --field 0 --out f.png").stderr) == line


def test_a_training_suggests_its_report(run: Run, cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = FitResult(Path("runs/ds"), 5, 5, 0.1)
    monkeypatch.setattr("unettrain.training_loop.fit", lambda *args, **options: done)
    assert suggested(run("unettrain fit ds.zarr").stderr) == "unettrain report runs/ds"
    assert suggested(run("unettrain fit ds.zarr --run 'r'").stderr).startswith("unettrain report ")


def test_a_prediction_of_a_store_is_evaluated_next(run: Run, cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def predict_many(checkpoint: str, images: Sequence[str], out: str, **options: object) -> list[SimpleNamespace]:
        found = {"shape": (1, 1), "intensity": (0.0, 1.0)}
        return [SimpleNamespace(warnings=(), path=Path(out), is_new=True, as_dict=lambda: found)]

    monkeypatch.setattr("unettrain.prediction.files.predict_many", predict_many)
    run(f"{IMPORT} ds.zarr --test-fraction 0.3")
    for images, following in {
        "ds.zarr --split test --out cells": "unettrain evaluate cells ds.zarr --split test",
        "ds.zarr/images/img-test --out c.tif": "unettrain evaluate c.tif ds.zarr/images/img-test",
        "img.tif --out d.tif": "",
    }.items():
        assert suggested(run(f"unettrain predict net.pt {images}").stderr) == following


def test_labels_alone_are_looked_at_next(run: Run, cells: Path) -> None:
    line = suggested(run("unetprep weights --in labels.tif --out ds.zarr").stderr)
    assert line == "unetprep preview ds.zarr --out ds-preview.png"
    assert suggested(run("unetprep info ds.zarr").stderr) == line
    assert suggested(run(line).stderr) == ""


def test_a_store_may_be_the_folder_itself(run: Run, cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("ds.zarr").mkdir()
    monkeypatch.chdir("ds.zarr")
    line = suggested(run("unetprep weights --in ../labels.tif --out .").stderr)
    assert line == "unetprep preview . --out store-preview.png"


def test_info_names_the_first_stage_that_is_missing(run: Run, cells: Path) -> None:
    run(f"{IMPORT} ds.zarr")
    assert suggested(run("unetprep info ds.zarr").stderr) == "unetprep weights --out ds.zarr"
    run("unetprep weights --out ds.zarr --sigma 3")
    assert suggested(run("unetprep info ds.zarr").stderr) == "unetprep deform --out ds.zarr"
    (next(Path("ds.zarr/images/img").glob("labels/instances/instances/zarr.json"))).write_text("{")
    assert suggested(run("unetprep info ds.zarr").stderr) == ""


@pytest.mark.parametrize("plan", ["unetprep plan {}", "unetprep {} --dry-run"])
def test_a_plan_suggests_what_was_planned(run: Run, cells: Path, plan: str) -> None:
    line = f"{IMPORT} ds.zarr --test-fraction 0.3".removeprefix("unetprep ")
    assert suggested(run(plan.format(line)).stderr) == f"unetprep {line}"


def test_paths_are_quoted(run: Run, cells: Path) -> None:

    words = [*f"{IMPORT} x".split()[1:-1], "my store.zarr"]
    said = CliRunner().invoke(prep.main, words).stderr
    assert shlex.split(suggested(said)) == ["unetprep", "weights", "--out", "my store.zarr"]


@pytest.mark.parametrize("option", ["--quiet", "--json"])
def test_nothing_is_suggested_to_a_program(run: Run, cells: Path, option: str) -> None:
    assert "next:" not in run(f"{IMPORT} ds.zarr {option}").stderr


def test_a_data_set_is_fetched_next(run: Run) -> None:
    assert suggested(run("unetprep datasets").stderr) == "unetprep fetch nuclei"
    assert suggested(run("unetprep datasets isbi2012").stderr) == "unetprep fetch isbi2012"
    assert suggested(run("unetprep datasets phc-c2dh-u373").stderr) == "unetprep fetch phc-c2dh-u373"
