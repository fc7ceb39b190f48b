"""`unetprep completion`."""

from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

from unetcli.options import WithExamples
from unetcli.param_types import Choice

if TYPE_CHECKING:
    from click.shell_completion import ShellComplete

PROGRAMS = ("unetprep", "unettrain")


@click.command(
    cls=WithExamples,
    short_help="Print a script that completes commands, options and paths in your shell.",
    examples="unetprep completion bash > ~/.unetprep-completion; echo '. ~/.unetprep-completion' >> ~/.bashrc\n"
    "unetprep completion zsh > ~/.unetprep-completion; echo '. ~/.unetprep-completion' >> ~/.zshrc\n"
    "unetprep completion fish > ~/.config/fish/conf.d/unetprep.fish",
)
@click.argument("shell", type=Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script for bash (4.4 or newer), zsh or fish, which completes unetprep and unettrain.

    The Tab key then completes commands, options, the values of options, and the paths of stores, images and runs.
    """
    click.echo("\n".join(script(shell, program) for program in PROGRAMS))


def script(shell: str, program: str) -> str:
    """The script of click that completes a program."""
    kind: type[ShellComplete] | None = get_completion_class(shell)
    assert kind is not None
    return kind(click.Command(program), {}, program, f"_{program.upper()}_COMPLETE").source()
