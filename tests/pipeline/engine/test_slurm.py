"""What a run asks of Slurm, without Slurm: a cluster that only records its options."""

import asyncio
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unetprep.errors import Failure
from unetprep.params import SlurmParams

slurm = pytest.importorskip("unetprep.engine.slurm")


class Recorded:
    """Takes the place of a SLURMCluster."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.jobs = SimpleNamespace(problem="")

    def __enter__(self) -> "Recorded":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def adapt(self, **options: Any) -> SimpleNamespace:
        self.adapted = options
        return self.jobs


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(slurm, "SLURMCluster", Recorded)


@contextmanager
def jobs(params: SlurmParams, workers: int = 4) -> Iterator[Any]:
    with slurm.slurm_jobs(params, workers, 2**30, None, {"OMP_NUM_THREADS": "2"}) as found:
        yield found


def test_the_options_of_jobs_are_those_of_the_parameters(
    submitted: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = SlurmParams(
        queue="cpu",
        account="lab",
        cores=8,
        walltime="01:00:00",
        interface="ib0",
        job_extra=("--qos=low",),
        min_workers=1,
    )
    with jobs(params) as (cluster, check):
        asked = cluster.options
        check()
    assert (asked["queue"], asked["account"], asked["cores"], asked["processes"]) == ("cpu", "lab", 8, 1)
    assert (asked["memory"], asked["walltime"], asked["interface"]) == (f"{2**30}B", "01:00:00", "ib0")
    assert asked["log_directory"] == str(tmp_path / "slurm-logs")
    assert asked["job_extra_directives"][-1] == "--qos=low"
    assert asked["job_script_prologue"][-1] == "export OMP_NUM_THREADS=2"
    words = asked["worker_extra_args"]
    assert words[-5:] == ["--lifetime", "3000s", "--lifetime-stagger", "300s", "--no-dashboard"]
    assert re.fullmatch(r"unetprep-[0-9a-f]{8}", asked["job_name"])
    assert cluster.adapted["job_name"] == asked["job_name"]
    assert (cluster.adapted["minimum"], cluster.adapted["maximum"]) == (1, 4)


def test_what_is_not_given_is_left_to_the_cluster(submitted: None) -> None:
    with jobs(SlurmParams(), workers=3) as (cluster, _):
        assert [cluster.options[name] for name in ("queue", "account", "interface", "local_directory", "python")] == [
            None
        ] * 5
        assert cluster.adapted["minimum"] == cluster.adapted["maximum"] == 3


def test_a_problem_of_the_jobs_is_raised_and_sbatch_is_needed(submitted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with jobs(SlurmParams()) as (cluster, check):
        cluster.jobs.problem = "invalid account"
        with pytest.raises(Failure, match=r"Slurm starts no worker: invalid account\n  to do:   see the jobs' output"):
            check()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(Failure, match="sbatch is not installed"), jobs(SlurmParams()):
        pass


def managed(**workers: SimpleNamespace) -> SimpleNamespace:
    """The state of `Jobs` of which none has a worker, while Slurm's queue holds job 1 alone."""

    async def queue() -> set[str]:
        return {"1"}

    cluster = SimpleNamespace(workers=workers)
    return SimpleNamespace(cluster=cluster, observed=set(), problem="", _failed=0, _came=set(), _queue=queue)


def job(number: str, refusal: str = "") -> SimpleNamespace:
    return SimpleNamespace(job_id=number, refusal=refusal)


def test_jobs_that_are_refused_or_gone_are_removed_and_waiting_ones_stay() -> None:
    found = managed(waiting=job("1"), gone=job("2"), refused=job("", "no such partition"))
    found._came = {"gone"}
    asyncio.run(slurm.Jobs._remove_lost_jobs(found))
    assert set(found.cluster.workers) == {"waiting"}
    assert found._failed == 1  # the worker of the other one came


def test_many_jobs_that_bring_no_worker_are_a_problem() -> None:
    found = managed(**{f"w{k}": job(str(k)) for k in range(2, 2 + slurm.MOST_FAILED_JOBS)})
    asyncio.run(slurm.Jobs._remove_lost_jobs(found))
    assert found.problem.startswith(f"{slurm.MOST_FAILED_JOBS} jobs ended")
