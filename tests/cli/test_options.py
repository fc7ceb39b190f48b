"""Options that commands share."""

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from unetcli.options import Examples
from unetprep.errors import InvalidInput


def test_the_endpoint_of_a_server_may_be_named(run: Run, cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")

    def refuse(store: str) -> None:
        raise InvalidInput(os.environ["AWS_ENDPOINT_URL_S3"])

    monkeypatch.setattr("unetprep.contents.info", refuse)
    assert "http://127.0.0.1:2" in run("unetprep info s3://bucket/x --endpoint-url http://127.0.0.1:2", 3).stderr


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("evaluate", {}, "the same command starts from the beginning"),
        ("predict", {}, "the same command goes on from here"),
        ("predict", {"overwrite": True}, "the same command goes on from here"),
        ("weights", {"dry_run": False}, "the same command goes on from here"),
        ("weights", {"dry_run": True}, "the same command starts from the beginning"),
        ("weights", {"overwrite": True}, "the same command starts from the beginning"),
        ("fit", {"overwrite": False}, "the same command goes on from here"),
        ("fit", {"overwrite": True}, "the same command goes on from here, without --overwrite"),
    ],
)
def test_a_stopped_command_says_what_it_does_when_repeated(name: str, params: dict[str, bool], said: str) -> None:
    assert Examples(name).when_repeated(params) == said
