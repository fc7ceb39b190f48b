"""Completion in shells: the script, and what it is given for the words so far."""

import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from tests.cli.conftest import Run
from unetcli.prep import main as prep
from unetcli.train import main as train


def completed(main: click.Group, *words: str) -> list[tuple[str, str]]:
    """What completes the last of some words, each with its type: plain, or file for what the shell completes."""
    found = ShellComplete(main, {}, "program", "_COMPLETE").get_completions([*words[:-1]], words[-1])
    return [(item.type, item.value) for item in found]


def test_commands_options_and_choices_are_completed() -> None:
    assert completed(prep.main, "we") == [("plain", "weights")]
    assert completed(prep.main, "plan", "we") == [("plain", "weights")]
    assert ("plain", "--sigma") in completed(prep.main, "weights", "--s")
    assert completed(prep.main, "weights", "--separate", "ra") == [("plain", "raster")]
    assert completed(train.main, "fit", "ds.zarr", "--preset", "de") == [("plain", "demo")]


@pytest.mark.parametrize(
    "words",
    [
        ("unetprep", "info", "ds"),
        ("unetprep", "weights", "--out", "ds"),
        ("unetprep", "weights", "--in", "x", "--in", ""),
        ("unetprep", "run", "rec"),
        ("unettrain", "fit", "ds"),
        ("unettrain", "fit", "ds.zarr", "--run", "ru"),
        ("unettrain", "predict", "runs/ds", "im", ""),
    ],
)
def test_paths_are_completed_by_the_shell(words: tuple[str, ...]) -> None:
    main = prep.main if words[0] == "unetprep" else train.main
    assert completed(main, *words[1:]) == [("file", words[-1])]


@pytest.mark.parametrize(
    ("shell", "marks"),
    [
        ("bash", "complete -o nosort -F"),
        ("zsh", "#compdef unettrain"),
        ("fish", "complete --no-files --command unetprep"),
    ],
)
def test_the_script_completes_both_programs(run: Run, shell: str, marks: str) -> None:
    script = run(f"unetprep completion {shell}").stdout
    assert marks in script
    assert all(f"_{program}_COMPLETE" in script for program in ("UNETPREP", "UNETTRAIN"))


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_completes_a_command_with_the_script(run: Run, tmp_path: Path) -> None:
    script = run("unetprep completion bash").stdout
    program = tmp_path / "unetprep"
    program.write_text(f"#!{sys.executable}\nfrom unetcli.entry import unetprep\nunetprep()\n")
    program.chmod(0o755)
    typed = "COMP_WORDS=(unetprep verif); COMP_CWORD=1; _unetprep_completion unetprep; echo ${COMPREPLY[@]}"
    done = subprocess.run(
        ["bash", "--norc", "-c", f"PATH={tmp_path}:$PATH\n{script}\n{typed}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "verify\n"
