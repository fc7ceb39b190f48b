"""`unettrain fit` that was stopped or whose files were damaged: what it says, and what it continues to."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.trainer.test_training_loop import assert_same_run
from unettrain.checkpoint import load_checkpoint

OPTIONS = "--base-channels 2 --threads 1 --validate-every 40 --log-every 1 --checkpoint-every 20 --keep 2"
OPTIONS += " --schedule constant"


def step_of(run: Path) -> int:
    """Step of the last line of the log; 0 without one."""
    lines = (run / "log.jsonl").read_text().splitlines() if (run / "log.jsonl").exists() else []
    return len(lines)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_process_that_is_told_to_stop_saves_its_last_step(
    run: Run, store: Path, tmp_path: Path, number: int, code: int
) -> None:
    command = [sys.executable, "-m", "unettrain", "fit", "ds.zarr", "--run", "r", "--steps", "100000", *OPTIONS.split()]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while step_of(tmp_path / "r") < 47 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)
        begun = time.monotonic()
        _, said = process.communicate(timeout=60)
    assert time.monotonic() - begun < 30
    assert (process.returncode, said.count("error:")) == (code, 1)
    assert "error: stopped; the same command goes on from here\n" in said
    stopped = load_checkpoint(tmp_path / "r" / "last.pt").step
    assert stopped >= step_of(tmp_path / "r") >= 47
    for folder in ("r", "straight"):
        run(f"unettrain fit ds.zarr --run {folder} --steps {stopped + 3} {OPTIONS}")
    assert_same_run(tmp_path / "r", tmp_path / "straight")


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(run: Run, store: Path, tmp_path: Path) -> None:
    run(f"unettrain fit ds.zarr --run r --steps 40 {OPTIONS}")
    os.truncate(tmp_path / "r" / "last.pt", 1000)
    said = run(f"unettrain fit ds.zarr --run r --steps 40 --quiet {OPTIONS}")
    assert said.stdout == "fit: trained 20 steps, 40 in all; " + said.stdout.partition("; ")[2]
    warning = "warning: r/last.pt is no checkpoint: not a file that torch wrote, or cut short; the training continues"
    assert f"{warning} from r/checkpoints/step-00000020.pt, step 20\n" in said.stderr
    os.truncate(tmp_path / "r" / "last.pt", 1000)
    os.truncate(tmp_path / "r" / "checkpoints" / "step-00000020.pt", 1000)
    assert (
        "no checkpoint of the run can be read" in run(f"unettrain fit ds.zarr --run r --steps 40 {OPTIONS}", 3).stderr
    )
