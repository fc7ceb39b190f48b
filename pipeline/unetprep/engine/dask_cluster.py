"""Schedulers and connections to them: local threads, worker processes, Slurm jobs, or a running Dask scheduler.

Nothing here is needed for threads of this process, so Dask's `distributed` (two seconds) is imported where it is used.
"""

import logging
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from unetprep import __version__
from unetprep.engine.dask_peer import check_peer
from unetprep.engine.scheduler import Scheduler
from unetprep.errors import Failure, InvalidInput, UnetprepError

if TYPE_CHECKING:
    from distributed import Client, LocalCluster, Security

log = logging.getLogger(__name__)
T = TypeVar("T")

ALLOWED_FAILURES = 3  # workers that may die with a task in hand before it is given up
STARTS = 3  # of worker processes, before it is given up
RESUMABLE = 75  # exit code of a run that was asked to stop and can be repeated
CONNECT_SECONDS = 15
SECONDS_BETWEEN_NEWS = 60.0
SECONDS_BETWEEN_LOOKS = 10.0
STOP_SECONDS = 20.0  # for tasks to come to an end: shorter than Slurm waits before it kills
# The tasks of a worker run side by side already, each on one core. A worker of Slurm gets these in its job script.
ONE_THREAD = {
    f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM", "NUMBA", "BLOSC")
}
NOT_A_SCHEDULER = (OSError, TypeError, ValueError, LookupError, struct.error, MemoryError)  # as Dask says it


# -- connecting -------------------------------------------------------------------------------------------------------

_clients: "dict[Scheduler, Client]" = {}
_keeping: list[ExitStack] = []


@contextmanager
def kept_connections() -> Iterator[None]:
    """Inside this block, the first use of a scheduler connects, and later ones find the same workers."""
    with ExitStack() as stack:
        _keeping.append(stack)
        try:
            yield
        finally:
            _keeping.pop()


@contextmanager
def connected(scheduler: Scheduler) -> "Iterator[Client]":
    """A client of the scheduler, which has at least one worker; everything that was started ends with the block.

    Not for `local`. A SIGTERM that nobody else takes care of ends the program in order, so that no jobs are left.
    Raises Failure where nothing answers or no worker comes, or where, inside the block, the cluster lets one down;
    InvalidInput where the settings do not fit.
    """
    with ExitStack() as own:
        if scheduler not in _clients:
            (_keeping[-1] if _keeping else own).enter_context(_connect(scheduler))
        client = _clients[scheduler]
        with translate_errors(client, scheduler):
            yield client


@contextmanager
def _connect(scheduler: Scheduler) -> "Iterator[Client]":
    import dask
    import distributed  # noqa: F401  before the settings: else its own would go when ours end

    settings = {
        "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
        # With no worker left a task would wait for ever. This is for the schedulers that start here.
        "distributed.scheduler.no-workers-timeout": f"{scheduler.patience_s}s",
    }
    opener = {"processes": _processes, "slurm": _slurm}.get(scheduler.address, _running)
    with _ended_by_sigterm(), dask.config.set(settings), opener(scheduler) as (client, check):
        with translate_errors(client, scheduler):
            _wait_for_a_worker(client, scheduler, check)
            _check_versions(client)
        _clients[scheduler] = client
        try:
            yield client
        finally:
            del _clients[scheduler]


Opened = tuple["Client", Callable[[], None]]  # and what raises when no worker can be hoped for


@contextmanager
def _processes(scheduler: Scheduler) -> Iterator[Opened]:
    from distributed import Client

    with _local_cluster(scheduler) as cluster, Client(cluster, timeout=CONNECT_SECONDS) as client:
        yield client, lambda: None


def _local_cluster(scheduler: Scheduler) -> "LocalCluster":
    """A worker that dies while it starts takes the others with it: then all are started anew."""
    from distributed import LocalCluster

    for tries_left in reversed(range(STARTS)):
        try:
            return LocalCluster(
                n_workers=scheduler.num_workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                memory_limit=scheduler.memory_bytes or "auto",
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.ERROR,
                env=ONE_THREAD,
            )
        except RuntimeError as error:
            if not tries_left:
                raise Failure(
                    f"the worker processes could not be started: {error.__cause__ or error}",
                    hint="see that there is memory for them, or ask for fewer: --workers",
                ) from error
    raise AssertionError


@contextmanager
def _slurm(scheduler: Scheduler) -> Iterator[Opened]:
    try:
        from unetprep.engine.slurm import slurm_jobs
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "dask_jobqueue":
            raise
        raise Failure(
            "dask-jobqueue, which talks to Slurm, is not installed", hint="pip install 'unetprep[cluster]'"
        ) from error
    from distributed import Client

    assert scheduler.memory_bytes is not None
    jobs = slurm_jobs(scheduler.slurm, scheduler.num_workers, scheduler.memory_bytes, _security(scheduler), ONE_THREAD)
    with jobs as (cluster, check), Client(cluster, timeout=CONNECT_SECONDS) as client:
        yield client, check


@contextmanager
def _running(scheduler: Scheduler) -> Iterator[Opened]:
    from distributed import Client

    address, security = scheduler.address, _security(scheduler)
    try:
        if not address.startswith("inproc://"):
            context = security.get_connection_args("client").get("ssl_context") if security else None
            check_peer(address, context, CONNECT_SECONDS)
        client = Client(address, security=security, timeout=CONNECT_SECONDS)
    except NOT_A_SCHEDULER as error:
        secure = address.startswith("tls://")
        raise Failure(
            f"no Dask scheduler answers at {address}: {error}",
            hint="see that it runs, that the host and port are right and not behind a firewall, and that "
            + (
                "its certificate and yours come from the same authority"
                if secure
                else "it does not ask for TLS (tls://); one is started with: dask scheduler"
            ),
        ) from error
    with client:
        yield client, lambda: None


def _security(scheduler: Scheduler) -> "Security | None":
    from distributed import Security

    tls = scheduler.tls
    if tls.ca:
        files: dict[str, Any] = {"tls_ca_file": tls.ca, "require_encryption": True}
        for role in ("client", "scheduler", "worker"):
            files |= {f"tls_{role}_cert": tls.cert, f"tls_{role}_key": tls.key}
        return Security(**files)
    configured = Security()
    if not scheduler.address.startswith("tls://"):
        return configured if configured.require_encryption else None
    if configured.get_connection_args("client").get("ssl_context") is None:
        raise InvalidInput(
            f"{scheduler.address} needs certificates, and none are given",
            hint="name them in [cluster] of a recipe: tls-ca, tls-cert and tls-key; or in Dask's configuration",
        )
    return configured


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, which would end the process at once, leave through all `finally`; unless somebody handles it."""
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _leave(*_: object) -> NoReturn:
    sys.exit(RESUMABLE)


# -- workers ----------------------------------------------------------------------------------------------------------


def _wait_for_a_worker(client: "Client", scheduler: Scheduler, check: Callable[[], None]) -> None:
    start = last_news = time.monotonic()
    while not client.nthreads():
        check()
        now = time.monotonic()
        if now - start > scheduler.patience_s:
            raise Failure(
                f"no worker came to {scheduler.address} within {scheduler.patience_s} seconds",
                hint=f"see what the jobs wait for: squeue --me; and what they say: {scheduler.slurm.log_folder}; or say"
                " in [cluster] that you wait longer, such as wait = '1-00:00:00'"
                if scheduler.address == "slurm"
                else f"start one, or see why it ends: dask worker {scheduler.address}",
            )
        if now - last_news > SECONDS_BETWEEN_NEWS:
            last_news = now
            log.info("%s: still no worker after %d minutes", scheduler.address, (now - start) // 60)
        time.sleep(0.1)
    log.info("%s: %d worker(s); dashboard: %s", scheduler.address, len(client.nthreads()), dashboard(client) or "none")


def _check_versions(client: "Client") -> None:
    """The scheduler and all workers have this package, in this version, and the same Python."""
    found: Any = client.get_versions(packages=["unetprep"])
    mine = f"unetprep {__version__}, Python {sys.version_info.major}.{sys.version_info.minor}"
    for who, about in {"the scheduler": found["scheduler"], **(found["workers"] or {})}.items():
        packages = about["packages"] if about else {}
        python = ".".join(str(packages.get("python")).split(".")[:2])
        theirs = f"unetprep {packages.get('unetprep')}, Python {python}"
        if theirs != mine:
            raise Failure(
                f"{who} has {theirs.replace('unetprep None', 'no unetprep')}",
                allowed=mine,
                hint="install the same release there: pip install unetprep==" + __version__,
            )


def num_threads(client: "Client", scheduler: Scheduler) -> int:
    """Threads that tasks run on: those of the workers there, or, if more, of all that may yet come."""
    planned = {"processes": 1, "slurm": scheduler.slurm.cores}.get(scheduler.address, 0) * scheduler.num_workers
    return int(max(1, planned, sum(client.nthreads().values())))


def dashboard(client: "Client") -> str:
    """The address of Dask's dashboard, empty where there is none."""
    if "dashboard" not in client.scheduler_info(n_workers=0)["services"]:
        return ""
    return str(client.dashboard_link)


def first_finished(client: "Client", running: set[Any], scheduler: Scheduler) -> tuple[set[Any], set[Any]]:
    """Wait until a task is finished. Returns those that are and those that are not. Raises Failure as `patiently`."""
    from distributed import wait

    found = patiently(client, scheduler, lambda s: wait(running, timeout=s, return_when="FIRST_COMPLETED"))
    return found.done, found.not_done


def patiently(client: "Client", scheduler: Scheduler, ask: Callable[[float], T]) -> T:
    """What `ask` returns, which is given some seconds to do so and may raise TimeoutError, until it does.

    Without workers it never might, be it that tasks wait for one, or that the last took what it had finished with it;
    and a scheduler of its own does not tell, so they are counted here. Raises Failure where none has been there for as
    long as one would wait for the first, or where the scheduler is lost.
    """
    last_seen = time.monotonic()
    while True:
        try:
            return ask(SECONDS_BETWEEN_LOOKS)
        except TimeoutError:
            last_seen = time.monotonic() if client.nthreads() else last_seen
        if time.monotonic() - last_seen > scheduler.patience_s:
            raise Failure(
                f"{scheduler.address} has had no worker for {scheduler.patience_s} seconds",
                hint="see why they ended, start others, and repeat the command: it continues where it stopped",
            )


def end_tasks(client: "Client", running: set[Any], name: str) -> None:
    """Begin none of these tasks any more, and wait a while for those functions of this name that run."""
    client.cancel(list(running))
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline and any(client.run(_executing, name, on_error="ignore").values()):
        time.sleep(0.2)


def _executing(name: str, dask_worker: Any) -> bool:
    return any(str(task.key).startswith(name) for task in dask_worker.state.executing)


@contextmanager
def translate_errors(client: "Client", scheduler: Scheduler) -> Iterator[None]:
    """Raise Failure for what inside the block goes wrong with the cluster; other errors stay as they are."""
    try:
        yield
    except UnetprepError:
        raise
    except Exception as error:
        if failure := _failure(error, client, scheduler):
            raise failure from error
        raise


def _failure(error: Exception, client: "Client", scheduler: Scheduler) -> Failure | None:
    """What to tell a user of an error of the cluster; None for an error of any other kind."""
    from concurrent.futures import CancelledError

    from distributed.comm.core import CommClosedError
    from distributed.scheduler import KilledWorker, NoValidWorkerError, NoWorkerError

    again = "repeat the command: it continues where it stopped"
    if isinstance(error, KilledWorker | NoValidWorkerError | NoWorkerError):
        where = f" (their output is in {scheduler.slurm.log_folder})" if scheduler.address == "slurm" else ""
        return Failure(
            f"the workers died or went away{where}: {error}",
            hint=f"most often it is memory: give each more with memory in [cluster] or --memory; then {again}",
        )
    # A client that is closing raises errors of any kind; one that has not noticed yet, one of these two.
    if client.status != "running" or isinstance(error, CancelledError | CommClosedError):
        return Failure(f"the connection to the scheduler {scheduler.address} was lost", hint=again)
    return None
