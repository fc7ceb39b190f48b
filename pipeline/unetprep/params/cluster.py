"""Parameters of where a run computes: section [cluster] of a recipe."""

from dataclasses import dataclass

from unetprep.errors import InvalidInput
from unetprep.parameter import Params, parameter
from unetprep.params.units import parse_time

PLAIN = r"[\w.+@][\w.,+@:-]*", "letters, digits and . , _ + @ : -, not beginning with -"
# Texts that become a word of a shell script may hold nothing that a shell interprets, except $NAME.
SHELL_WORD = r"(?:[\w./~+@:%=,-]|\$\w+|\$\{\w+\})*", "letters, digits, / . _ ~ + @ : % = , - and $NAME"
SHORTEST_WALLTIME = 120  # seconds; Slurm counts whole minutes, and a worker needs some of it to start and to retire


@dataclass(frozen=True)
class SlurmParams(Params):
    """The jobs that are submitted to Slurm. Each runs one worker."""

    queue: str = parameter("", "Slurm: the partition.  [default: that of the cluster]", form=PLAIN)
    account: str = parameter("", "Slurm: the account to charge.  [default: your own]", form=PLAIN)
    cores: int = parameter(1, "Slurm: cores of a job; its worker has as many threads.", least=1, most=4096)
    walltime: str = parameter("01:00:00", "Slurm: time limit of a job, HH:MM:SS or D-HH:MM:SS.")
    min_workers: int | None = parameter(
        None, "Slurm: number of jobs kept even when there is little to do.  [default: as many as workers]", least=0
    )
    interface: str = parameter(
        "", "Slurm: the network interface that nodes and this machine share, such as ib0.", form=PLAIN
    )
    job_extra: tuple[str, ...] = parameter((), "Slurm: further options for sbatch, such as --qos=low.")
    log_folder: str = parameter("slurm-logs", "Slurm: folder for the output of the jobs, on a disk that nodes share.")
    local_folder: str = parameter(
        "", "Slurm: folder on a node for a worker's temporary files.  [default: the current]", form=SHELL_WORD
    )
    python: str = parameter("", "Slurm: the Python on the nodes.  [default: the one that runs this]", form=SHELL_WORD)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.walltime_s() < SHORTEST_WALLTIME:
            raise InvalidInput(f"walltime is {self.walltime!r}", allowed="two minutes or more")

    def walltime_s(self) -> int:
        """The time limit in seconds."""
        return parse_time(self.walltime)

    def lifetime_s(self) -> tuple[int, int]:
        """When a worker retires, and by how much that may vary, in seconds: before Slurm would kill it."""
        margin = min(300, self.walltime_s() // 10)
        return self.walltime_s() - 2 * margin, margin


@dataclass(frozen=True)
class ClusterParams(SlurmParams):
    """Where tasks run, and on how many workers of how much memory: section [cluster] of a recipe."""

    scheduler: str = parameter(
        "local",
        "local: threads of this process; processes: worker processes of this machine; slurm: jobs of a Slurm cluster;"
        " or the address of a Dask scheduler, tcp://HOST:PORT or tls://HOST:PORT.",
    )
    workers: int | None = parameter(
        None,
        "Threads (local), processes, or jobs (slurm) at most.  [default: one for each core; slurm: 1]",
        least=1,
        most=10_000,
    )
    memory: str = parameter("", "Memory of a worker process or of a Slurm job, such as 4GB.")
    wait: str = parameter("", "How long to wait for the first worker, HH:MM:SS.  [default: 00:01:00; slurm: 12:00:00]")
    tls_ca: str = parameter("", "tls: file of the authority's certificate.  [default: Dask's own configuration]")
    tls_cert: str = parameter("", "tls: file of the certificate.")
    tls_key: str = parameter("", "tls: file of its key.")
