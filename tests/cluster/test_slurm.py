"""Jobs on a real Slurm that lose workers, jobs and nodes midway, and end with the bytes of a run without any of it."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.cluster.conftest import Slurm, until
from tests.pipeline.conftest import tree

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
RECIPE = """
out = "ds.zarr"
[import]
image = "images"
labels = "masks"
test-fraction = 0.2
[deform]
fields = 50
[tiles]
tile = 188
margin = 4
"""
CLUSTER = """
[cluster]
scheduler = "slurm"
queue = "cpu"
memory = "1GB"
workers = 2
walltime = "00:10:00"
interface = "lo"
wait = "00:01:00"
"""
PROGRAM = (sys.executable, "-c", "from unetcli.prep import main; main()")


@pytest.fixture(scope="module")
def expected(images: Path) -> dict[str, bytes]:
    """The store that a local run makes."""
    (images / "recipe.toml").write_text(RECIPE)
    subprocess.run([*PROGRAM, "run", "recipe.toml", "-q"], cwd=images, check=True, capture_output=True)
    return tree(images / "ds.zarr")


@contextmanager
def started(slurm: Slurm, images: Path, folder: Path, cluster: str = CLUSTER) -> Iterator[subprocess.Popen[str]]:
    """The whole job on Slurm, in a folder of its own, its workers slowed down."""
    for name in ("images", "masks"):
        shutil.copytree(images / name, folder / name)
    (folder / "recipe.toml").write_text(RECIPE + cluster)
    slow = {"DASK_DISTRIBUTED__WORKER__PRELOAD": "tests.cluster.slow", "PYTHONPATH": str(ROOT)}
    soon = {"DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT": "1s"}
    process = subprocess.Popen(
        [*PROGRAM, "run", "recipe.toml", "--json"],
        cwd=folder,
        env=slurm.environment | slow | soon,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    """Wait for the end, which has to be this; what was said on stdout and stderr."""
    out, err = process.communicate(timeout=90)
    assert process.returncode == code, err
    return out, err


def midway(folder: Path) -> bool:
    """Some of the weights are there."""
    return len(list(folder.glob("ds.zarr/images/*/weights/c/**/0"))) >= 2


def worker_of(job: str) -> psutil.Process:
    """The process that works in a job, not the one that looks after it."""
    for process in psutil.process_iter(["environ", "cmdline"]):
        if (process.info["environ"] or {}).get("SLURM_JOB_ID") == job and "spawn_main" in str(process.info["cmdline"]):
            return process
    raise AssertionError(f"no worker in job {job}")


def kill_a_worker(slurm: Slurm) -> None:
    worker_of(slurm.jobs()[0]).send_signal(signal.SIGKILL)


def cancel_a_job(slurm: Slurm) -> None:
    before = slurm.jobs()
    slurm.say("scancel", before[0])
    until("another job", lambda: set(slurm.jobs()) - set(before))


def take_a_node_away(slurm: Slurm) -> None:
    before = slurm.jobs()
    node = slurm.say("squeue", "--noheader", "--jobs", before[0], "--format", "%N").strip()
    slurm.say("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    until("another job", lambda: set(slurm.jobs()) - set(before))


@pytest.fixture(autouse=True)
def all_nodes(slurm: Slurm) -> Iterator[None]:
    """Nothing is left of a test, and all nodes are there for the next."""
    yield
    until("the end of all jobs", lambda: not slurm.say("squeue", "--noheader").strip())
    for line in slurm.say("sinfo", "--noheader", "--Node", "--format", "%N %T").splitlines():
        node, state = line.split()
        if state.startswith("down"):
            slurm.say("scontrol", "update", f"NodeName={node}", "State=RESUME")


def test_what_is_lost_midway_is_replaced_and_the_bytes_are_the_same(
    slurm: Slurm, images: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    with started(slurm, images, tmp_path) as process:
        until("work", lambda: midway(tmp_path) or process.poll() is not None, 60)
        for harm in (kill_a_worker, cancel_a_job, take_a_node_away):
            assert process.poll() is None, process.communicate()
            harm(slurm)
        assert process.poll() is None, "it was over too soon to be harmed"
        out, err = finish(process)
    assert tree(tmp_path / "ds.zarr") == expected
    assert json.loads(out)["status"] == "done"
    assert "slurm: " in err


def test_a_run_that_is_told_to_stop_leaves_no_jobs_and_goes_on_when_repeated(
    slurm: Slurm, images: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    with started(slurm, images, tmp_path) as process:
        until("work", lambda: midway(tmp_path) or process.poll() is not None, 60)
        process.send_signal(signal.SIGTERM)
        finish(process, 75)
    until("the end of all jobs", lambda: not slurm.jobs("RUNNING,PENDING"), 5)
    assert tree(tmp_path / "ds.zarr") != expected
    subprocess.run([*PROGRAM, "run", "recipe.toml", "-q", "--scheduler", "local"], cwd=tmp_path, check=True)
    assert tree(tmp_path / "ds.zarr") == expected


def test_jobs_whose_client_was_killed_end_by_themselves(slurm: Slurm, images: Path, tmp_path: Path) -> None:
    with started(slurm, images, tmp_path) as process:
        until("work", lambda: midway(tmp_path) or process.poll() is not None, 60)
        process.kill()
    until("the end of all jobs", lambda: not slurm.jobs("RUNNING,PENDING"), 30)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('queue = "nowhere"', "invalid partition specified: nowhere"),
        ('workers = 5\npython = "/nowhere/python"', "5 jobs ended, one after the other, before a worker came"),
    ],
)
def test_what_slurm_does_not_run_is_said(slurm: Slurm, images: Path, tmp_path: Path, lines: str, message: str) -> None:
    keys = [line.partition(" ")[0] for line in lines.splitlines()]
    kept = [line for line in CLUSTER.splitlines() if line.partition(" ")[0] not in keys]
    with started(slurm, images, tmp_path, "\n".join([*kept, lines])) as process:
        _, err = finish(process, 1)
    assert message in err
    assert "slurm-logs" in err
