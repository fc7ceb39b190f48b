"""Results of `unettrain fit`: warnings, and --fail-below."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import SMALL, Run
from unettrain import training_loop

# -- what a training came to -------------------------------------------------------------------------------------------


def test_a_training_that_finds_nothing_is_warned_of_and_can_fail(run: Run, store: Path) -> None:
    line = f"unettrain fit ds.zarr {SMALL} --run r -q"
    done = run(f"{line} --json --steps 1 --validate-every 1 --learning-rate 1e-30")
    told = json.loads(done.stdout)
    assert told["val_iou"] < 0.5
    failed = run(f"{line} --json --steps 1 --validate-every 1 --learning-rate 1e-30 --fail-below 0.99", 1)
    assert json.loads(failed.stdout) == told | {"updates": 0}
    assert (
        f"error: the validation IoU is {told['val_iou']:.3f}\n  allowed: at least 0.99 (--fail-below)" in failed.stderr
    )
    assert "a lower learning-rate, a longer warmup-steps, or a clip-norm" in failed.stderr
    run(f"{line} --steps 1 --validate-every 1 --learning-rate 1e-30 --fail-below 0")


def test_warnings_go_to_stderr_to_json_and_to_the_report(
    run: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_loop, "training_warnings", lambda *about: ("the network has died",))
    monkeypatch.setattr(
        "unettrain.reporting.summary_section.training_warnings", lambda *about: ("the network has died",)
    )
    done = run(f"unettrain fit ds.zarr {SMALL} --run r --json -q")
    assert json.loads(done.stdout)["warnings"] == ["the network has died"]
    assert done.stderr.startswith("warning: the network has died\n  to do:   train again with a lower learning-rate")
    run("unettrain report r")
    assert "The network has died." in (tmp_path / "r" / "report.html").read_text()


@pytest.mark.parametrize("value", ["-0.1", "1.5", "nan"])
def test_the_limit_of_a_failure_is_an_iou(run: Run, store: Path, value: str) -> None:
    assert (
        f"fail-below is {value}\n  allowed: an IoU, 0 to 1"
        in run(f"unettrain fit ds.zarr --fail-below {value}", 3).stderr
    )
