"""Schedulers: threads, worker processes, Slurm jobs or a running Dask scheduler, with their limits."""

import os
import re
from dataclasses import dataclass, field, fields

from unetprep.engine.dask_peer import host_and_port
from unetprep.engine.memory import Worker, num_cores
from unetprep.errors import InvalidInput
from unetprep.params import SHELL_WORD, ClusterParams, SlurmParams, parse_bytes, parse_time
from unetprep.storage.regular_files import refuse_special

KINDS = ("local", "processes", "slurm")
MAX_LOCAL_WORKERS = 1024
ADDRESSES = ("tcp://", "tls://", "inproc://")


@dataclass(frozen=True)
class Tls:
    """Files of certificates; without any, Dask's own configuration is used."""

    ca: str = ""
    cert: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        for name, path in vars(self).items():
            if not path and any(vars(self).values()):
                raise InvalidInput(f"tls-{name} is not given", allowed="all of tls-ca, tls-cert and tls-key, or none")
            if path:
                refuse_special(path)
            if path and not os.access(path, os.R_OK):
                raise InvalidInput(f"tls-{name} is {path}, which cannot be read", allowed="a file in PEM format")


@dataclass(frozen=True)
class Scheduler:
    """A scheduler of tasks.

    `local`: threads of this process. `processes`: worker processes of this machine, of one thread each. `slurm`: jobs
    of a Slurm cluster, one worker in each. Anything else is the address of a Dask scheduler.
    """

    address: str = "local"
    workers: int = 0  # threads, processes or jobs at most; 0: one for each core, of Slurm one
    memory_bytes: int | None = None  # of a worker process or a Slurm job
    slurm: SlurmParams = field(default_factory=SlurmParams)
    tls: Tls = field(default_factory=Tls)
    wait_s: int = 0  # for the first worker; 0: the default of the kind

    def __post_init__(self) -> None:
        if self.address not in KINDS and not self.address.startswith(ADDRESSES):
            raise InvalidInput(
                f"scheduler is {self.address!r}",
                allowed="local, processes, slurm, or the address of a Dask scheduler, tcp://HOST:PORT or"
                " tls://HOST:PORT",
            )
        if self.address.startswith(("tcp://", "tls://")):
            host_and_port(self.address)
        if self.tls.ca and not (self.address == "slurm" or self.address.startswith("tls://")):
            raise InvalidInput(
                f"tls-ca is given, but scheduler is {self.address!r}", allowed="slurm, or an address tls://HOST:PORT"
            )
        if self.address in ("local", "processes") and self.num_workers > MAX_LOCAL_WORKERS:
            raise InvalidInput(
                f"workers is {self.num_workers}",
                allowed=f"1 to {MAX_LOCAL_WORKERS} threads or processes of one machine",
            )
        if self.address == "slurm" and not all(re.fullmatch(SHELL_WORD[0], path) for path in vars(self.tls).values()):
            raise InvalidInput(
                f"tls-ca, tls-cert and tls-key are {', '.join(vars(self.tls).values())}",
                allowed=f"for Slurm, whose job scripts name them: {SHELL_WORD[1]}",
            )
        if self.address == "slurm" and not self.memory_bytes:
            raise InvalidInput(
                "Slurm needs to know the memory of a job",
                hint='set memory = "4GB" in [cluster] of the recipe, or --memory 4GB',
            )
        if self.address == "slurm" and (self.slurm.min_workers or 0) > self.num_workers:
            raise InvalidInput(
                f"min-workers is {self.slurm.min_workers} and workers is {self.num_workers}",
                allowed="at most as many as workers",
            )

    @classmethod
    def of(cls, params: ClusterParams) -> "Scheduler":
        """The scheduler that parameters describe."""
        return cls(
            params.scheduler,
            params.workers or 0,
            parse_bytes(params.memory) if params.memory else None,
            SlurmParams(**{f.name: getattr(params, f.name) for f in fields(SlurmParams)}),
            Tls(params.tls_ca, params.tls_cert, params.tls_key),
            parse_time(params.wait, "wait") if params.wait else 0,
        )

    @property
    def num_workers(self) -> int:
        """The number of threads, processes or jobs."""
        return self.workers or (1 if self.address == "slurm" else num_cores())

    @property
    def worker(self) -> Worker:
        """One of its worker processes. The threads of workers of a running scheduler are not known yet, and count 1."""
        threads = {"local": self.num_workers, "slurm": self.slurm.cores}.get(self.address, 1)
        return Worker(self.memory_bytes, threads, on_cluster=self.address != "local")

    @property
    def patience_s(self) -> int:
        """Seconds to wait for the first worker."""
        return self.wait_s or (12 * 3600 if self.address == "slurm" else 60)
