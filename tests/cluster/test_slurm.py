"""Jobs on a real Slurm that lose workers, jobs and nodes midway, and end with the bytes of a run without any of it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.cluster.conftest import PATIENCE, Slurm, until
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
SHARDS = "ds.zarr/images/*/weights/c/**/0"
PROGRAM = (sys.executable, "-c", "from unetcli.prep.main import main; main()")


@pytest.fixture(scope="module")
def expected(images: Path) -> dict[str, bytes]:
    """The store that a local run makes."""
    (images / "recipe.toml").write_text(RECIPE)
    subprocess.run([*PROGRAM, "run", "recipe.toml", "-q"], cwd=images, check=True, capture_output=True)
    return tree(images / "ds.zarr")


def prepare(images: Path, folder: Path, cluster: str) -> None:
    """The images and the recipe, in a folder."""
    for name in ("images", "masks"):
        shutil.copytree(images / name, folder / name, dirs_exist_ok=True)
    (folder / "recipe.toml").write_text(RECIPE + cluster)


@contextmanager
def started(slurm: Slurm, images: Path, folder: Path, cluster: str = CLUSTER) -> Iterator[subprocess.Popen[str]]:
    """The whole job on Slurm, in a folder of its own, its workers slowed down."""
    prepare(images, folder, cluster)
    slow = {"DASK_DISTRIBUTED__WORKER__PRELOAD": "tests.cluster.slow", "PYTHONPATH": str(ROOT)}
    slow |= {"UNETPREP_HOLD": str(folder / "hold")}
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
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, err
    return out, err


def hold_midway(process: subprocess.Popen[str], folder: Path) -> None:
    """Wait until some of the weights are there, and let no task begin until the file `hold` is gone."""
    until("work", lambda: any(folder.glob(SHARDS)) or process.poll() is not None)
    (folder / "hold").touch()
    assert process.poll() is None, process.communicate()


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
        hold_midway(process, tmp_path)
        for harm in (kill_a_worker, cancel_a_job, take_a_node_away):
            harm(slurm)
        (tmp_path / "hold").unlink()
        out, err = finish(process)
    assert tree(tmp_path / "ds.zarr") == expected
    assert json.loads(out)["status"] == "done"
    assert "slurm: " in err


def test_a_run_that_is_killed_or_told_to_stop_leaves_no_jobs_and_goes_on_when_repeated(
    slurm: Slurm, images: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    with started(slurm, images, tmp_path) as process:
        hold_midway(process, tmp_path)
        process.kill()
    (tmp_path / "hold").unlink()
    until("the end of jobs that lost their scheduler", lambda: not slurm.jobs("R,PD,CG"))
    with started(slurm, images, tmp_path) as process:
        until("work", lambda: slurm.jobs() or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        finish(process, 75)
    until("the end of jobs that were cancelled", lambda: not slurm.jobs("R,PD"), 10)
    assert tree(tmp_path / "ds.zarr") != expected
    subprocess.run([*PROGRAM, "run", "recipe.toml", "-q", "--scheduler", "local"], cwd=tmp_path, check=True)
    assert tree(tmp_path / "ds.zarr") == expected


def test_the_script_of_the_document_has_itself_queued_again(slurm: Slurm, images: Path, tmp_path: Path) -> None:
    document = (ROOT / "docs" / "clusters.md").read_text()
    script = document.partition("<!-- client.sbatch -->\n```sh\n")[2].partition("```")[0]
    (tmp_path / "client.sbatch").write_text(script)
    prepare(images, tmp_path, CLUSTER)
    there = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    sbatch = ("sbatch", "--parsable", "--mem=1G", "--time=10", "client.sbatch")
    job = slurm.say(*sbatch, folder=tmp_path, more=there).strip()
    until("jobs of the client", lambda: len(slurm.jobs()) == 3)
    until("work", lambda: any(tmp_path.glob(SHARDS)))
    slurm.say("scancel", "--batch", "--signal=TERM", job)
    try:
        until("being queued again, alone", lambda: slurm.jobs("R,PD,CG") == slurm.jobs("PENDING") == [job])
        assert "Restarts=1" in slurm.say("scontrol", "show", "job", job)
    finally:
        slurm.say("scancel", job)


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
