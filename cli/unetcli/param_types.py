"""Types of options and arguments: choices that suggest the nearest one, and text that the shell completes as a path."""

from collections.abc import Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem
from click.types import StringParamType

from unetprep.suggestions import did_you_mean


class Choice(click.Choice[str]):
    """One of some words. An unknown one is refused with the nearest of them."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The word itself. Raises BadParameter for one that is none of the choices."""
        try:
            return str(super().convert(value, param, ctx))
        except click.BadParameter as error:
            self.fail(suggesting(error.message, str(value), self.choices), param, ctx)


class PathLike(StringParamType):
    """Text that may be a path or a URL: the shell completes the names of files and folders."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """What the shell completes as a path."""
        return [CompletionItem(incomplete, type="file")]


def complete_paths(params: Iterable[click.Parameter]) -> None:
    """Let the shell complete paths wherever text of no other type is expected."""
    for param in params:
        if param.type is click.STRING:
            param.type = PathLike()


def suggesting(message: str, word: str, known: Iterable[str]) -> str:
    """A message of click about an unknown word, with the nearest known one, if there is one."""
    question = did_you_mean(word, known)
    return f"{message.rstrip('.')}; {question}" if question else message
