"""Exit codes and messages of errors."""

import click
from click.testing import CliRunner

from tests.cli.conftest import ends
from unetcli.errors import exit_codes


def test_an_unexpected_exception_is_no_signal(handlers: None) -> None:
    @click.command()
    def command() -> None:
        with exit_codes():
            raise ZeroDivisionError

    assert isinstance(CliRunner().invoke(command).exception, ZeroDivisionError)


def test_what_a_library_says_itself_is_left_as_it_is() -> None:
    assert ends(ConnectionError("s3://b/x: no answer from http://127.0.0.1:1")) == (
        1,
        "error: s3://b/x: no answer from http://127.0.0.1:1\n",
    )
