import json

import pytest

from tests.cli.conftest import Run
from unettrain.config import UNetConfig


def test_the_lines_are_printed_and_none_fails(run: Run) -> None:
    said = json.loads(run("unettrain paper-check --json").stdout)
    assert said["failed"] == []
    assert said["counts"]["FAIL"] == 0
    assert {"name", "source", "says", "found", "status", "reason"} == set(said["lines"][0])


def test_a_line_that_fails_ends_with_exit_code_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unettrain.paper_check.shape_lines.PAPER", UNetConfig(variant="release"))
    done = run("unettrain paper-check", code=1)
    assert "FAIL    parameters (section 2, counted): 31,030,658; here: 31,100,354" in done.stdout
    assert "lines fail: parameters, up-convolution channels" in done.stderr
