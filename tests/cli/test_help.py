import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from unetcli.prep import main as prep
from unetcli.train import main as train

COMMANDS = [(m, name) for m in (prep.main, train.main) for name in m.commands]


@pytest.mark.parametrize(("main", "name"), COMMANDS, ids=[name for _, name in COMMANDS])
def test_every_command_has_help_that_begins_with_examples(main: click.Group, name: str) -> None:
    said = CliRunner().invoke(main, [name, "--help"]).output
    program = "unetprep" if main is prep.main else "unettrain"
    first, example = said.splitlines()[:2]
    assert first == "Examples:"
    assert example.split()[:2] == [program, name]
    for parameter in main.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.help.rstrip().endswith((".", "]", ")")), parameter.help


@pytest.mark.parametrize("main", [prep.main, train.main])
def test_examples_name_commands_and_options_that_exist(main: click.Group) -> None:
    lines = [line for c in (main, *main.commands.values()) for line in c.examples.strip().splitlines()]  # type: ignore[attr-defined]
    for line in lines:
        words = line.split()
        command = main.commands[words[1]]
        if isinstance(command, click.Group) and not words[2].startswith("-"):
            command = command.commands[words[2]]
        known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
        assert {w for w in words if w.startswith("--")} <= known, line


def test_the_groups_list_their_commands_in_order_of_use() -> None:
    assert list(prep.main.commands) == [
        "datasets",
        "fetch",
        "formats",
        "scan",
        "lint",
        "import",
        "weights",
        "deform",
        "tiles",
        "preview",
        "view",
        "run",
        "plan",
        "info",
        "verify",
        "relabel",
        "remove",
        "doctor",
        "completion",
    ]
    assert list(train.main.commands) == [
        "fit",
        "draws",
        "predict",
        "evaluate",
        "report",
        "export",
        "import-weights",
        "paper-check",
    ]
    assert CliRunner().invoke(prep.main, ["--version"]).output.startswith("unetprep, version ")


def test_the_reference_lists_every_command() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/commands.md").read_text()
    listed = re.findall(r"^\| `(unetprep|unettrain) ([\w-]+)", page, re.MULTILINE)
    named = [("unetprep", c) for c in prep.main.commands] + [("unettrain", c) for c in train.main.commands]
    assert listed == named
