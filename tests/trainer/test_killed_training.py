"""Real processes that are killed while they train: what they continue to is bit for bit what it would have been."""

import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.trainer import processes
from tests.trainer.processes import training
from tests.trainer.test_training_loop import assert_same_run, quick
from unetprep.storage import lock
from unettrain.config import FitConfig
from unettrain.errors import Conflict
from unettrain.training_loop import fit

KILLED = -9
CONFIG = quick(steps=12, checkpoint_every=2, validate_every=5, log_every=1, keep=3)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory, default_store: Path) -> Path:
    """The run of twelve steps that nothing interrupts."""
    run = tmp_path_factory.mktemp("straight") / "run"
    fit(default_store, run, CONFIG)
    return run


def killed_at(store: Path, run: Path, *where: Any) -> None:
    with training(store, run, CONFIG, processes.die_at, *where) as process:
        process.join()
        assert process.exitcode == KILLED


def test_a_kill_at_each_kind_of_moment(default_store: Path, straight: Path, tmp_path: Path) -> None:
    """One run is killed again and again, each time further on; then it ends like the one that was not."""
    run = tmp_path / "run"
    # in the middle of the first checkpoint
    killed_at(default_store, run, "unettrain.checkpoint:_Recorded", "write", 20)
    assert not (run / "last.pt").exists()
    assert [p.name for p in run.iterdir() if p.name.startswith(".partial-")]
    # the second one is complete and has no name yet
    killed_at(default_store, run, "os", "replace", 2, "last.pt")
    # the one before has no second name yet
    killed_at(default_store, run, "os", "link", 1, "step-00000004.pt")
    # the oldest one is about to be removed
    killed_at(default_store, run, "pathlib:Path", "unlink", 1, "step-00000002.pt")
    # a step is validated, and not logged
    killed_at(default_store, run, "unettrain.run_dir:RunDir", "append_log", 4)
    assert fit(default_store, run, CONFIG).step == 12
    assert_same_run(run, straight)
    assert sorted(p.name for p in run.iterdir()) == ["best.pt", "checkpoints", "config.json", "last.pt", "log.jsonl"]
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["step-00000008.pt", "step-00000010.pt"]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_kill_at_a_random_moment(default_store: Path, straight: Path, tmp_path: Path, seed: int) -> None:
    run, moments = tmp_path / "run", random.Random(seed)
    for _ in range(3):
        with training(default_store, run, CONFIG, processes.slow_writes) as process:
            begun = time.monotonic()
            while not (run / ".lock").exists() and time.monotonic() - begun < 60:
                time.sleep(0.01)
            process.join(moments.uniform(0, 2))
    assert fit(default_store, run, CONFIG).step == 12
    assert_same_run(run, straight)


def test_a_running_training_keeps_others_out_and_a_killed_one_does_not(default_store: Path, tmp_path: Path) -> None:
    run, config = tmp_path / "run", FitConfig(steps=10**6, base_channels=2, validate_every=10**6)
    with training(default_store, run, config, processes.touch_often) as process:
        begun = time.monotonic()
        while not (run / "config.json").exists() and time.monotonic() - begun < 60:
            time.sleep(0.01)
        with pytest.raises(Conflict, match=rf"another run works on .*run: .*\(process {process.pid} on "):
            fit(default_store, run, config)
        process.kill()
        process.join()
        assert (run / ".lock").exists()
        begun = time.monotonic()
        with pytest.raises(Conflict, match="holds another run"):
            fit(default_store, run, quick(seed=1))
        assert time.monotonic() - begun < lock.DEAD_AFTER_S / 2  # it did not wait for the dead one
    assert not (run / ".lock").exists()
