"""Entry points of the two programs."""

import subprocess
import sys
from pathlib import Path

import pytest

from unetcli import entry

PROGRAM = """
import os, signal, sys
from unetcli import entry

def send(number=signal.{name}):
    signal.raise_signal(number)

class Sending:  # while a module is imported
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            send()

sys.meta_path.insert(0, Sending())
sys.argv = ["unettrain", *{argv!r}]
{more}
entry.unettrain()
"""


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 75), ("SIGINT", 130)])
@pytest.mark.parametrize("module", ["click", "unetcli.train.main"])
def test_a_signal_during_the_first_imports_has_its_exit_code(name: str, code: int, module: str) -> None:
    program = PROGRAM.format(name=name, module=module, argv=["--help"], more="")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, "error: stopped before it began\n")


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 75), ("SIGINT", 130)])
def test_a_signal_outside_of_the_command_itself_has_its_exit_code(name: str, code: int) -> None:
    """While click parses; and a second one while the program leaves."""
    more = "import click, atexit; atexit.register(send); click.Command.make_context = lambda *a, **k: send()"
    program = PROGRAM.format(name=name, module="none", argv=["fit", "x"], more=more)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_an_exit_code_that_was_given_with_a_message_stays() -> None:
    """A signal while the message is printed changes nothing any more."""
    more = "import click; echo = click.echo\ndef echoing(*a, **k):\n    echo(*a, **k)\n    send()\nclick.echo = echoing"
    program = PROGRAM.format(name="SIGTERM", module="none", argv=["fit", "x", "--learning-rate", "0"], more=more)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "error: learning-rate is 0.0" in done.stderr


def test_entry_points_are_those_of_the_package() -> None:
    scripts = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert 'unetprep = "unetcli.entry:unetprep"' in scripts
    assert 'unettrain = "unetcli.entry:unettrain"' in scripts
    assert callable(entry.unetprep)
