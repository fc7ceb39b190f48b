"""A stage of the table has a command, a section of a recipe, a plan and a run, and needs nothing else."""

import inspect
import json
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

import unetprep
from tests.pipeline.stages.toy_stage import PATH, ToyParams
from unetcli.prep.main import make_group
from unetprep.errors import InvalidInput
from unetprep.recipe import read_recipe
from unetprep.stages.table import STAGES, Stage
from unetprep.store import Store

TOY = Stage(
    "toy",
    ToyParams,
    "tests.pipeline.stages.toy_stage",
    "Count.",
    "Write some numbers.",
    ("unetprep toy --out ds.zarr",),
    creates_store=True,
)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The toy stage, listed in the table."""
    monkeypatch.setitem(STAGES, "toy", TOY)
    return TOY


def test_a_stage_of_the_table_has_command_plan_recipe_and_run(toy: Stage, tmp_path: Path) -> None:
    group, url = make_group(), tmp_path / "ds.zarr"
    said = CliRunner().invoke(group, ["plan", "toy", "--out", str(url), "--count", "20", "--json"]).output
    assert [(s["stage"], s["tasks"]) for s in json.loads(said)["stages"]] == [("toy", 3)]
    assert not url.exists()
    assert unetprep.plan(url, stages=[ToyParams(count=20)]).stages[0].tasks == 3
    said = CliRunner().invoke(group, ["toy", "--out", str(url), "--count", "20"]).output
    assert "toy: wrote 3 of 3 shards" in said
    np.testing.assert_array_equal(Store.open(str(url)).read_all(PATH), np.arange(20))
    assert unetprep.prepare_store(url, stages=[ToyParams(count=20)])[0].shards_written == 0
    (tmp_path / "r.toml").write_text('out = "a.zarr"\n[import]\nlabels = "a.tif"\n[toy]\ncount = 5\n')
    assert read_recipe(str(tmp_path / "r.toml")).stages["toy"] == ToyParams(count=5)
    assert "How many numbers." in CliRunner().invoke(group, ["toy", "--help"]).output


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_every_stage_of_the_table_has_all_of_these(stage: Stage) -> None:
    group = make_group()
    plan = group.commands["plan"]
    assert isinstance(plan, click.Group)
    assert {stage.name} <= {*group.commands} & {*plan.commands}
    assert stage.steps
    assert stage.params.__name__ in str(inspect.signature(getattr(unetprep, stage.name)))


def test_parameters_of_no_stage_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="a stage is given as ToyParams\n  allowed: WeightsParams, DeformParams"):
        unetprep.plan(tmp_path / "ds.zarr", stages=[ToyParams()])
