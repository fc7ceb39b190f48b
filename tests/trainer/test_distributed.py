"""Trainings of two real processes: the result is that of one, and what ends one of them ends both."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from tests.trainer.processes import PRELOADED
from tests.trainer.test_training_loop import log_of, quick
from unettrain.checkpoint import load_checkpoint
from unettrain.distributed import Group, joined
from unettrain.ranks import Ranks
from unettrain.stream.tile_stream import TileStream
from unettrain.trainer import Trainer
from unettrain.training_loop import fit

OPTIONS = (
    "--base-channels 2 --batch-size 4 --dropout 0 --threads 1 --validate-every 5 --log-every 1 --learning-rate 0.01"
    " --schedule constant"
)
COMMAND = ["-m", "unettrain", "fit", "ds.zarr", "--quiet"]
OURS = {"base_channels": 2, "batch_size": 4, "dropout": 0.0, "validate_every": 5, "log_every": 1, "learning_rate": 0.01}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def environment(rank: int, size: int, port: int) -> dict[str, str]:
    """What torchrun sets, or a script with srun."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_PORT": port}
    return {name: str(value) for name, value in place.items()} | {"MASTER_ADDR": "127.0.0.1"}


@contextmanager
def torchrun(folder: Path, run: str, options: str, *more: str) -> Iterator["subprocess.Popen[str]"]:
    """A real torchrun with two processes on this machine; `more` are its own options."""
    launcher = [str(Path(sys.executable).with_name("torchrun")), "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    words = [*launcher, "--master-port", str(free_port()), *more, "-m", "--", *COMMAND[1:], "--run", run]
    words += [*OPTIONS.split(), *options.split()]
    with subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            for one in [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []:
                one.kill()
            process.kill()


@pytest.fixture
def folder(tmp_path: Path, default_store: Path) -> Path:
    (tmp_path / "ds.zarr").symlink_to(default_store)
    return tmp_path


def assert_close_runs(a: Path, b: Path) -> None:
    """Equal but for the rounding of sums over two processes."""
    first, second = load_checkpoint(a / "last.pt"), load_checkpoint(b / "last.pt")
    assert first.step == second.step
    torch.testing.assert_close(first.weights, second.weights, rtol=1e-4, atol=1e-6)
    for one, other in zip(log_of(a), log_of(b), strict=True):
        assert one["step"] == other["step"]
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


# -- the gradient ------------------------------------------------------------------------------------------------------

CASES: list[dict[str, Any]] = [
    {"normalizer": "weights"},
    {"normalizer": "pixels"},
    {"normalizer": "none"},
    {"normalizer": "weights", "accumulate": 2},
]


def gradients(store: Path, group: Group) -> list[tuple[float | None, list[torch.Tensor]]]:
    """Loss and gradient of the first update with each configuration."""
    torch.set_num_threads(1)
    found = []
    for case in CASES:
        config = quick(batch_size=4, dropout=0.0, clip_norm=0.0, **case)
        stream = TileStream.of(store, config, None, group.ranks)
        trainer = Trainer(config.network(1, stream.tiles.depth), config, stream.tiles.tile_px, group=group)
        trainer.update(stream.batch(0))
        found.append((trainer.pending_loss, [p.grad for p in trainer.model.parameters() if p.grad is not None]))
    return found


def one_of_two(store: Path, rank: int, port: int, out: Path) -> None:
    os.environ.update(environment(rank, 2, port))
    with joined() as group:
        found = gradients(store, group)
        assert group.from_first(lambda: "said by 0") == "said by 0"
        torch.save(found, out / f"{rank}.pt")


def test_the_gradient_of_two_processes_is_that_of_one(default_store: Path, tmp_path: Path) -> None:
    import multiprocessing as mp

    context, port = mp.get_context("forkserver"), free_port()
    context.set_forkserver_preload(PRELOADED)
    processes = [context.Process(target=one_of_two, args=(default_store, k, port, tmp_path)) for k in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    expected = gradients(default_store, Group(Ranks()))
    for rank in range(2):
        for found, case in zip(torch.load(tmp_path / f"{rank}.pt"), range(len(CASES)), strict=True):
            loss, gradient = expected[case]
            assert loss is not None
            assert found[0] == pytest.approx(loss, rel=1e-6)
            largest = max(float(g.abs().max()) for g in gradient)
            torch.testing.assert_close(found[1], gradient, rtol=1e-5, atol=1e-6 * largest)


# -- whole trainings ---------------------------------------------------------------------------------------------------


def test_two_processes_train_as_one_and_one_continues_what_two_began(folder: Path) -> None:
    with torchrun(folder, "two", "--steps 12") as process:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    fit(folder / "ds.zarr", folder / "one", quick(**OURS, steps=12))
    assert_close_runs(folder / "two", folder / "one")
    fit(folder / "ds.zarr", folder / "two", quick(**OURS, steps=16))
    fit(folder / "ds.zarr", folder / "one", quick(**OURS, steps=16))
    assert_close_runs(folder / "two", folder / "one")


def logged(run: Path) -> int:
    return len(log_of(run)) if (run / "log.jsonl").exists() else 0


def kill_second(launcher: "subprocess.Popen[str]", run: Path, at: int) -> None:
    """Kill the process of rank 1 once a step is logged."""
    while logged(run) < at and launcher.poll() is None:
        time.sleep(0.02)
    ranks = {child.environ().get("RANK"): child for child in psutil.Process(launcher.pid).children()}
    ranks["1"].kill()


def test_a_killed_process_ends_all_with_one_message(folder: Path) -> None:
    """The first time torchrun starts all of them again, and the second time it has been told to give up."""
    options = "--steps 100000 --validate-every 100000"
    with torchrun(folder, "two", options, "--max-restarts", "1") as process:
        kill_second(process, folder / "two", at=7)
        first = load_saved_step(folder / "two")
        kill_second(process, folder / "two", at=first + 5)
        _, said = process.communicate(timeout=120)
    assert process.returncode not in (0, None)
    # torchrun adds a table of its own, and may tell the survivor to stop before it sees that the other has ended.
    messages = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(messages) == 2, said
    assert set(messages) <= {
        "error: another of the 2 processes has ended: it was killed, or its machine failed",
        "error: stopped; the same command goes on from here",
    }
    step = load_checkpoint(folder / "two" / "last.pt").step  # the survivor saved its state
    assert step >= first + 5
    assert not (folder / "two" / ".lock").exists()
    for run in ("two", "one"):
        fit(folder / "ds.zarr", folder / run, quick(**OURS | {"validate_every": 100_000}, steps=step + 2))
    assert_close_runs(folder / "two", folder / "one")


def load_saved_step(run: Path) -> int:
    """Step of the state that is saved next."""
    begun = time.monotonic()
    while not (run / "last.pt").exists() and time.monotonic() - begun < 60:
        time.sleep(0.02)
    return load_checkpoint(run / "last.pt").step


SRUN = """#!/bin/bash
for k in 0 1; do
    SLURM_PROCID=$k SLURM_LOCALID=$k "$@" 2> said-$k.txt &
    started="$started $!"
done
while [ "$(cat runs/ds/log.jsonl 2> /dev/null | wc -l)" -lt 7 ] && kill -0 $started; do sleep 0.05; done
kill -TERM $started
highest=0
for one in $started; do
    code=0
    wait $one || code=$?
    [ $code -gt $highest ] && highest=$code
done
exit $highest
"""
SCONTROL = """#!/bin/bash
[ "$1" = show ] && echo 127.0.0.1 && exit
echo "$@" > scontrol.txt
"""


def test_the_job_script_of_the_guide_requeues_itself_at_the_time_limit(folder: Path) -> None:
    """The script as it stands, with stand-ins for the commands of Slurm: srun sends SIGTERM to both of its tasks."""
    guide = (Path(__file__).parents[2] / "docs" / "training-runs.md").read_text()
    script = guide.partition("<!-- fit.sbatch -->\n```sh\n")[2].partition("```")[0]
    assert "--batch-size 8" in script
    (folder / "fit.sbatch").write_text(script.replace("--batch-size 8", f"--quiet --steps 100000 {OPTIONS}"))
    for name, content in (("srun", SRUN), ("scontrol", SCONTROL)):
        (folder / name).write_text(content)
        (folder / name).chmod(0o755)
    paths = os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    number = str(os.getpid() % 10_000)  # so is the port
    job = {"SLURM_JOB_ID": number, "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"}
    done = subprocess.run(["bash", "fit.sbatch"], cwd=folder, env=os.environ | job | {"PATH": paths}, timeout=240)
    assert done.returncode == 75
    assert (folder / "scontrol.txt").read_text() == f"requeue {number}\n"
    said = [(folder / f"said-{k}.txt").read_text() for k in range(2)]
    assert said == ["error: stopped; the same command goes on from here\n", ""]
    assert load_checkpoint(folder / "runs" / "ds" / "last.pt").step >= 7
    assert not (folder / "runs" / "ds" / ".lock").exists()


def test_an_error_of_all_is_said_once(folder: Path) -> None:
    port = free_port()
    words = [sys.executable, *COMMAND, *OPTIONS.split(), "--batch-size", "3"]
    started = [
        subprocess.Popen(words, cwd=folder, env=os.environ | environment(k, 2, port), stderr=subprocess.PIPE, text=True)
        for k in range(2)
    ]
    said = "".join(process.communicate(timeout=120)[1] for process in started)
    assert sorted(process.returncode for process in started) == [3, 3]
    assert said.count("error:") == 1
    assert "batch-size is 3, and 2 processes share each batch\n  allowed: multiples of 2" in said
    assert not (folder / "runs").exists()
