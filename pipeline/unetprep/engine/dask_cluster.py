"""Schedulers and connections to them: local threads, worker processes, Slurm jobs, or a running Dask scheduler.

Threads of this process need none of this, so Dask's `distributed`, whose import takes two seconds, is imported on use.
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

ALLOWED_FAILURES = 3  # workers that may die with a task before it is given up
STARTS = 3  # attempts to start worker processes
RESUMABLE = 75  # exit code of a run that was stopped and can be continued
CONNECT_SECONDS = 15
SECONDS_BETWEEN_MESSAGES = 60.0
SECONDS_BETWEEN_CHECKS = 10.0
STOP_SECONDS = 20.0  # for tasks to end: shorter than Slurm waits before it kills
# Tasks of a worker already run in parallel, one on each core. A worker of Slurm gets these in its job script.
ONE_THREAD = {
    f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM", "NUMBA", "BLOSC")
}
NOT_A_SCHEDULER = (OSError, TypeError, ValueError, LookupError, struct.error, MemoryError)  # exceptions of Dask


# -- connecting -------------------------------------------------------------------------------------------------------

_clients: "dict[Scheduler, Client]" = {}
_keeping: list[ExitStack] = []


@contextmanager
def kept_connections() -> Iterator[None]:
    """Inside of this block, the first use of a scheduler connects, and later ones share its workers."""
    with ExitStack() as stack:
        _keeping.append(stack)
        try:
            yield
        finally:
            _keeping.pop()


@contextmanager
def connected(scheduler: Scheduler) -> "Iterator[Client]":
    """A client of the scheduler, which has at least one worker. Whatever was started ends with the block.

    Not for `local`. SIGTERM, if nothing else handles it, ends the program through all `finally`, so that no jobs are
    left. Raises Failure if no scheduler answers, no worker comes, or the cluster fails inside of the block, and
    InvalidInput for settings that do not fit.
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
        # Without a worker a task would wait for ever. This applies to schedulers that are started here.
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


Opened = tuple["Client", Callable[[], None]]  # and a check that raises when no worker can come


@contextmanager
def _processes(scheduler: Scheduler) -> Iterator[Opened]:
    from distributed import Client

    with _local_cluster(scheduler) as cluster, Client(cluster, timeout=CONNECT_SECONDS) as client:
        yield client, lambda: None


def _local_cluster(scheduler: Scheduler) -> "LocalCluster":
    """Start worker processes. A worker that dies while it starts ends the others: then all are started again."""
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
                    hint="check that there is memory for them, or use fewer: --workers",
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
            hint="check that it runs, that the host and port are right and not behind a firewall, and that "
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
    """Turn SIGTERM, unless it is handled already, into an exit that runs all `finally`."""
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
        if now - last_news > SECONDS_BETWEEN_MESSAGES:
            last_news = now
            log.info("%s: still no worker after %d minutes", scheduler.address, (now - start) // 60)
        time.sleep(0.1)
    log.info("%s: %d worker(s); dashboard: %s", scheduler.address, len(client.nthreads()), dashboard(client) or "none")


def _check_versions(client: "Client") -> None:
    """Raise Failure unless the scheduler and all workers have this version of the package, and the same Python."""
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
    """Threads that run tasks: those of the present workers, or of all planned workers if these are more."""
    planned = {"processes": 1, "slurm": scheduler.slurm.cores}.get(scheduler.address, 0) * scheduler.num_workers
    return int(max(1, planned, sum(client.nthreads().values())))


def dashboard(client: "Client") -> str:
    """The address of Dask's dashboard; empty if there is none."""
    if "dashboard" not in client.scheduler_info(n_workers=0)["services"]:
        return ""
    return str(client.dashboard_link)


def first_finished(client: "Client", running: set[Any], scheduler: Scheduler) -> tuple[set[Any], set[Any]]:
    """Wait until a task is finished. Returns finished and running tasks. Raises Failure as `patiently` does."""
    from distributed import wait

    found = patiently(client, scheduler, lambda s: wait(running, timeout=s, return_when="FIRST_COMPLETED"))
    return found.done, found.not_done


def patiently(client: "Client", scheduler: Scheduler, ask: Callable[[float], T]) -> T:
    """Call `ask(seconds)`, which may raise TimeoutError, until it returns, and return its result.

    Without workers it might never return: tasks wait for one, or results were lost with the last. A scheduler that was
    started elsewhere does not report this, so workers are counted here. Raises Failure if there has been no worker for
    as long as the first one is waited for, or if the connection is lost.
    """
    last_seen = time.monotonic()
    while True:
        try:
            return ask(SECONDS_BETWEEN_CHECKS)
        except TimeoutError:
            last_seen = time.monotonic() if client.nthreads() else last_seen
        if time.monotonic() - last_seen > scheduler.patience_s:
            raise Failure(
                f"{scheduler.address} has had no worker for {scheduler.patience_s} seconds",
                hint="find out why they ended, start others, and repeat the command: it continues where it stopped",
            )


def end_tasks(client: "Client", running: set[Any], name: str) -> None:
    """Cancel tasks, and wait a limited time for running functions of this name."""
    client.cancel(list(running))
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline and any(client.run(_executing, name, on_error="ignore").values()):
        time.sleep(0.2)


def _executing(name: str, dask_worker: Any) -> bool:
    return any(str(task.key).startswith(name) for task in dask_worker.state.executing)


@contextmanager
def translate_errors(client: "Client", scheduler: Scheduler) -> Iterator[None]:
    """Translate errors of the cluster inside of the block to Failure; other errors stay as they are."""
    try:
        yield
    except UnetprepError:
        raise
    except Exception as error:
        if failure := _failure(error, client, scheduler):
            raise failure from error
        raise


def _failure(error: Exception, client: "Client", scheduler: Scheduler) -> Failure | None:
    """The Failure for an error of the cluster; None for an error of any other kind."""
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
    # A closing client raises errors of any kind; one that has not noticed the loss, one of these two.
    if client.status != "running" or isinstance(error, CancelledError | CommClosedError):
        return Failure(f"the connection to the scheduler {scheduler.address} was lost", hint=again)
    return None
