"""Dask workers as Slurm jobs; jobs that Slurm cancels, loses or refuses are submitted again."""

import asyncio
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import dask
from dask_jobqueue.slurm import SLURMCluster, SLURMJob
from distributed import Security
from distributed.deploy.adaptive import Adaptive
from distributed.deploy.spec import ProcessInterface

from unetprep.errors import Failure
from unetprep.params import SlurmParams

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 10.0  # at Slurm's queue
MOST_FAILED_JOBS = 5  # one after the other, before any of them brought a worker


class SlurmJob(SLURMJob):
    """A Slurm job that records why sbatch refused it, instead of stopping the management of all others."""

    refusal = ""

    async def start(self) -> None:
        """Submit the job."""
        try:
            await super().start()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            self.refusal = str(error).partition("stderr:")[2].strip() or str(error)
            await ProcessInterface.start(self)

    async def close(self) -> None:
        """Cancel the job."""
        await super().close()  # type: ignore[no-untyped-call]
        await ProcessInterface.close(self)


class Jobs(Adaptive):
    """Keeps the number of workers between two limits.

    Dask notices a worker that is lost, but not a job that never had one: refused by sbatch, cancelled while it waited,
    or ended by an error at its start. This class finds such jobs in the queue of Slurm, and submits them again.
    """

    cluster: SLURMCluster

    def __init__(self, cluster: SLURMCluster, job_name: str, **options: Any) -> None:
        self._job_name = job_name
        self._looked = time.monotonic()
        self._failed = 0
        self._had_workers = False
        self._came: set[str] = set()  # names of jobs that have, or had, a worker
        self.problem = ""  # why no worker can come
        super().__init__(cluster, **options)

    async def target(self) -> int:
        """How many workers there should be; called at every interval."""
        self._had_workers |= bool(self.observed)
        self._came |= self.observed
        refusals = [job.refusal for job in self.cluster.workers.values() if job.refusal]
        if refusals and not self._had_workers:
            self.problem = refusals[0]
        if time.monotonic() - self._looked > SECONDS_BETWEEN_LOOKS:
            await self._remove_lost_jobs()
            self._looked = time.monotonic()
        return int(await super().target())  # type: ignore[no-untyped-call]

    async def _remove_lost_jobs(self) -> None:
        """Remove jobs without a worker that are not in the queue; they are still planned, and so submitted again."""
        absent = {name: job for name, job in self.cluster.workers.items() if name not in self.observed}
        queue = await self._queue() if absent else set()
        for name, job in absent.items():
            if job.refusal:
                log.warning("Slurm refused a job, which is submitted again: %s", job.refusal)
            elif queue is not None and job.job_id not in queue:
                what = "is over" if name in self._came else "ended before its worker came"
                log.warning("job %s %s; another one is submitted", job.job_id, what)
            else:
                continue
            self.cluster.workers.pop(name, None)
            self._failed += name not in self._came
            self._came.discard(name)
        if self.observed:
            self._failed = 0
        if self._failed >= MOST_FAILED_JOBS:
            self.problem = f"{self._failed} jobs ended, one after the other, before a worker came"

    async def _queue(self) -> set[str] | None:
        """The jobs of this run in the queue of Slurm; None if it does not answer."""
        words = ("squeue", "--noheader", "--name", self._job_name, "--format", "%A")
        process = await asyncio.create_subprocess_exec(
            *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        said, _ = await process.communicate()
        return set(said.decode().split()) if process.returncode == 0 else None


@contextmanager
def slurm_jobs(
    params: SlurmParams, workers: int, memory_bytes: int, security: Security | None, environment: Mapping[str, str]
) -> Iterator[tuple[SLURMCluster, Callable[[], None]]]:
    """A Dask scheduler in this process whose workers are Slurm jobs, at most `workers` of them.

    Also returns a check that raises Failure when no worker can come. At the end all jobs are cancelled. If the client
    is killed, its workers end by themselves, since they lose their scheduler.
    """
    if shutil.which("sbatch") is None:
        raise Failure(
            "Slurm's sbatch is not installed", hint="run this on a machine of the cluster, or use --scheduler processes"
        )
    name = f"unetprep-{uuid4().hex[:8]}"
    lifetime, stagger = params.lifetime_s()
    cluster = SLURMCluster(
        job_cls=SlurmJob,  # type: ignore[arg-type]
        job_name=name,
        queue=params.queue or None,
        account=params.account or None,
        cores=params.cores,
        processes=1,  # with more, Dask does not recognize its workers by their names, and replaces none
        memory=f"{memory_bytes}B",
        walltime=params.walltime,
        interface=params.interface or None,
        job_extra_directives=[*dask.config.get("jobqueue.slurm.job-extra-directives", []), *params.job_extra],
        job_script_prologue=[
            *dask.config.get("jobqueue.slurm.job-script-prologue", []),
            *(f"export {key}={value}" for key, value in environment.items()),
        ],
        worker_extra_args=[
            *dask.config.get("jobqueue.slurm.worker-extra-args", []),
            *("--lifetime", f"{lifetime}s", "--lifetime-stagger", f"{stagger}s", "--no-dashboard"),
        ],
        log_directory=str(Path(params.log_folder).absolute()),
        local_directory=params.local_folder or None,
        python=params.python or None,
        security=security,
        scheduler_options={"dashboard_address": "127.0.0.1:0"},
        silence_logs="error",
    )
    with cluster:
        log.info("Slurm: asking for up to %d jobs, %s; their output: %s", workers, name, params.log_folder)
        jobs = cluster.adapt(
            Adaptive=Jobs,
            job_name=name,
            minimum=workers if params.min_workers is None else params.min_workers,
            maximum=workers,
            interval="1s",
            wait_count=30,
            target_duration="60s",
        )

        def check() -> None:
            if jobs.problem:
                raise Failure(
                    f"Slurm starts no worker: {jobs.problem}",
                    hint=f"see the jobs' output in {params.log_folder}, and [cluster] of the recipe",
                )

        yield cluster, check
