"""Unknown words on the command line: the error suggests the nearest known one."""

import click
import pytest

from tests.cli.conftest import Run
from unetcli.options import WithExamples
from unetcli.param_types import Choice
from unetcli.prep import main as prep
from unetcli.train import main as train


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("unetprep wieghts --out ds.zarr", "No such command 'wieghts'; did you mean 'weights'?"),
        ("unetprep plan wieghts --out ds.zarr", "No such command 'wieghts'; did you mean 'weights'?"),
        ("unettrain pedict", "No such command 'pedict'; did you mean 'predict'?"),
        ("unetprep weights --out ds.zarr --sgima 3", "No such option '--sgima'; did you mean '--sigma'?"),
        ("unetprep import --no-recursve", "No such option '--no-recursve'; did you mean '--no-recursive'?"),
        ("unetprep weights --out ds.zarr --separate rastr", "'none'; did you mean 'raster'?"),
        ("unettrain fit ds.zarr --preset papr", "did you mean 'paper'?"),
        ("unetprep zzz", "No such command 'zzz'.\n"),
        ("unetprep info ds.zarr --zzzzzz", "No such option '--zzzzzz'.\n"),
    ],
)
def test_an_unknown_word_is_refused_with_the_nearest(run: Run, line: str, said: str) -> None:
    assert said in run(line, 2).stderr


@pytest.mark.parametrize(
    ("line", "near"),
    [("unetprep fetch nuclie", "did you mean 'nuclei'?"), ("unettrain evaluate a b --metrics seq", "'seg'?")],
)
def test_names_in_values_are_suggested_too(run: Run, line: str, near: str) -> None:
    assert near in run(line, 3).stderr


def test_every_choice_suggests() -> None:
    groups = (prep.main, train.main)
    commands = [command for group in groups for command in group.commands.values()]
    commands += [command for each in commands if isinstance(each, click.Group) for command in each.commands.values()]
    choices = [p.type for c in commands for p in c.params if isinstance(p.type, click.Choice)]
    assert len(choices) > 20
    assert all(isinstance(choice, Choice) for choice in choices)
    assert all(isinstance(c, WithExamples) for c in commands)
