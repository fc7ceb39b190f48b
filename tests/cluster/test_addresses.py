"""Worker processes, and schedulers that run already: real processes, with and without TLS."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import distributed
import psutil
import pytest
from dask.config import set as set_config
from distributed import Security

from tests.cluster.conftest import PATIENCE, free_ports, until
from unetprep.engine.batches import ShardBatch
from unetprep.engine.dask_cluster import connected, kept_connections, num_threads
from unetprep.engine.pools import pool_of
from unetprep.engine.run import Summary, run_stage
from unetprep.engine.scheduler import Scheduler, Tls
from unetprep.errors import Failure, InvalidInput, Stopped
from unetprep.params import DeformParams
from unetprep.stages import STAGES
from unetprep.store import Store

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """An authority of our own and what it signed, as files."""
    folder, made = tmp_path_factory.mktemp("tls"), Security.temporary()
    for name, text in (("ca", made.tls_ca_file), ("cert", made.tls_client_cert), ("key", made.tls_client_key)):
        (folder / name).write_text(text)
    return Tls(*(str(folder / name) for name in ("ca", "cert", "key")))


@contextmanager
def dask(*words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of Dask's command line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def secured(certificates: Tls) -> Iterator[str]:
    """The address of a scheduler with one worker that take certificates alone."""
    address = f"tls://127.0.0.1:{free_ports(1)[0]}"
    files = [f"--tls-{name}={path}" for name, path in (("ca-file", certificates.ca), ("cert", certificates.cert))]
    files += [f"--tls-key={certificates.key}", "--no-dashboard"]
    with (
        dask("scheduler", "--host", address.rpartition(":")[0], "--port", address.rpartition(":")[2], *files),
        dask("worker", address, "--nthreads", "1", *files),
    ):
        yield address


def test_tls_with_certificates_given(secured: str, certificates: Tls) -> None:
    with connected(Scheduler(secured, tls=certificates, wait_s=30)) as client:
        assert client.submit(pow, 2, 10).result() == 1024


def test_tls_with_certificates_of_dasks_own_configuration(secured: str, certificates: Tls) -> None:
    role = {"cert": certificates.cert, "key": certificates.key}
    settings = {"distributed.comm.tls.ca-file": certificates.ca, "distributed.comm.tls.client": role}
    with set_config(settings), connected(Scheduler(secured, wait_s=30)) as client:
        assert client.submit(pow, 2, 10).result() == 1024


def test_who_has_no_certificate_is_refused(
    secured: str, monkeypatch: pytest.MonkeyPatch, certificates: Tls, tmp_path: Path
) -> None:
    monkeypatch.setattr("unetprep.engine.dask_cluster.CONNECT_SECONDS", 2)
    with pytest.raises(InvalidInput, match="needs certificates, and none are given"), connected(Scheduler(secured)):
        pass
    plain = Scheduler(secured.replace("tls", "tcp"))
    with pytest.raises(Failure, match="does not ask for TLS"), connected(plain):
        pass
    made = Security.temporary()
    for name, text in (("ca", made.tls_ca_file), ("cert", made.tls_client_cert), ("key", made.tls_client_key)):
        (tmp_path / name).write_text(text)
    other = Tls(*(str(tmp_path / name) for name in ("ca", "cert", "key")))
    with pytest.raises(Failure, match="come from the same authority"), connected(Scheduler(secured, tls=other)):
        pass


def test_a_scheduler_that_nobody_started_or_that_has_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetprep.engine.dask_cluster.CONNECT_SECONDS", 1)
    port = str(free_ports(1)[0])
    address = f"tcp://127.0.0.1:{port}"
    with pytest.raises(Failure, match=f"no Dask scheduler answers at {address}"), connected(Scheduler(address)):
        pass
    monkeypatch.undo()
    with (
        dask("scheduler", "--host", "tcp://127.0.0.1", "--port", port, "--no-dashboard"),
        pytest.raises(Failure, match=f"no worker came to {address} within 1 seconds"),
        connected(Scheduler(address, wait_s=1)),
    ):
        pass


@contextmanager
def running(scheduler: Scheduler, folder: Path) -> Iterator[tuple[Future[Summary], Store]]:
    """A long job on a scheduler, in a thread of its own, once it has begun; it ends with the block."""
    store, over = Store.open_or_create(str(folder / "ds.zarr")), Event()
    params = DeformParams(fields=10_000_000)

    def look(done: int, total: int, **shown: float) -> None:
        if over.is_set():
            raise Stopped

    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(run_stage, store, STAGES["deform"], params, scheduler, on_progress=look)
        try:
            until("the first shard", lambda: future.done() or (folder / "ds.zarr/fields/grids/c").exists())
            yield future, store
        finally:
            over.set()


@pytest.mark.parametrize("victim", ["scheduler", "worker"])
def test_a_cluster_that_is_lost_under_a_run_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    monkeypatch.setattr("unetprep.engine.dask_cluster.SECONDS_BETWEEN_CHECKS", 0.5)
    port = str(free_ports(1)[0])
    address = f"tcp://127.0.0.1:{port}"
    server = dask("scheduler", "--host", "tcp://127.0.0.1", "--port", port, "--no-dashboard")
    with server as scheduler, dask("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard") as worker:
        with running(Scheduler(address, wait_s=20), tmp_path) as (future, store):
            (scheduler if victim == "scheduler" else worker).kill()
            said = f"the connection to the scheduler {address} was lost|has had no worker for 20 seconds"
            with pytest.raises(Failure, match=said) as caught:
                future.result(PATIENCE)
        assert ("connection" in str(caught.value)) is (victim == "scheduler")
        assert store.state("fields/grids") == "unfinished"
        assert not (tmp_path / "ds.zarr/.lock").exists()


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_whatever_is_asked_of_a_lost_scheduler_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The errors of Dask's client differ with the moment: while it tries to connect again, and once it is closed."""
    monkeypatch.setattr("unetprep.engine.dask_cluster.CONNECT_SECONDS", 8)
    port = str(free_ports(1)[0])
    scheduler = Scheduler(f"tcp://127.0.0.1:{port}", wait_s=20)
    store = Store.open_or_create(str(tmp_path / "ds.zarr"))
    (job,) = STAGES["deform"].steps[0](store, DeformParams(fields=1))
    server = dask("scheduler", "--host", "tcp://127.0.0.1", "--port", port, "--no-dashboard")
    worker = dask("worker", scheduler.address, "--nthreads", "1", "--no-nanny", "--no-dashboard")
    with ExitStack() as stack:
        process = stack.enter_context(server)
        until("the scheduler listens", lambda: is_listening(int(port)))
        stack.enter_context(worker)
        client, pool = stack.enter_context(connected(scheduler)), stack.enter_context(pool_of(scheduler))
        asked = {
            "num_workers": lambda: pool.num_workers,
            "retries": pool.retries,
            "submit": lambda: pool.submit(store, [ShardBatch(job, ())]),
            "another": pool_of(scheduler).__enter__,
        }
        process.kill()
        with pytest.raises(Failure, match="was lost"), connected(scheduler):
            pool.num_workers  # noqa: B018
        until("the client has given up", lambda: client.status == "closed")
        for name, ask in asked.items():
            with pytest.raises(Failure, match="was lost") as caught, connected(scheduler):
                ask()
            assert caught.value.__cause__, name
        pool.stop(set())
        with pytest.raises(InvalidInput, match="of another kind"), connected(scheduler):
            raise InvalidInput("of another kind", allowed="none")


def test_a_worker_that_dies_between_its_work_and_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it reports is with it until the client asks."""
    monkeypatch.setattr("unetprep.engine.dask_cluster.SECONDS_BETWEEN_CHECKS", 0.5)
    port = str(free_ports(1)[0])
    address = f"tcp://127.0.0.1:{port}"
    server = dask("scheduler", "--host", "tcp://127.0.0.1", "--port", port, "--no-dashboard")
    with server, dask("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard") as worker:
        store = Store.open_or_create(str(tmp_path / "ds.zarr"))
        with pool_of(Scheduler(address, wait_s=20)) as pool:
            (job,) = STAGES["deform"].steps[0](store, DeformParams(fields=1))
            (done,), _ = pool.wait({pool.submit(store, [ShardBatch(job, ())])})
            worker.kill()
            with pytest.raises(Failure, match="has had no worker for 20 seconds"):
                pool.result(done)


def test_a_run_that_is_stopped_leaves_nobody_writing(tmp_path: Path) -> None:
    def stop(done: int, total: int, **shown: float) -> None:
        raise Stopped

    with connected(Scheduler("processes", 2)) as client, kept_connections():
        store = Store.open_or_create(str(tmp_path / "ds.zarr"))
        address = str(client.scheduler_info()["address"])
        with pytest.raises(Stopped):
            run_stage(store, STAGES["deform"], DeformParams(fields=4_000_000), Scheduler(address), on_progress=stop)
        shards = sorted((tmp_path / "ds.zarr/fields/grids/c").iterdir())
        time.sleep(1)
        assert sorted((tmp_path / "ds.zarr/fields/grids/c").iterdir()) == shards


def test_workers_that_die_while_they_start_are_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    start = distributed.LocalCluster

    def failing(**options: object) -> Any:
        made.append(1)
        if len(made) in (1, 3, 4, 5):
            raise RuntimeError("Nanny failed to start.")
        return start(**options)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(distributed, "LocalCluster", failing)
    with connected(Scheduler("processes", 1)) as client:
        assert client.submit(pow, 2, 10).result() == 1024
    with pytest.raises(Failure, match="could not be started: Nanny failed"), connected(Scheduler("processes", 1)):
        pass
    assert len(made) == 5


def suicide(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_worker_processes_their_threads_memory_and_death(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetprep.engine.dask_cluster.ALLOWED_FAILURES", 1)
    scheduler = Scheduler("processes", 2, 10**9)
    with kept_connections():
        with connected(scheduler) as client:
            assert num_threads(client, scheduler) == 2
            limits = {about["memory_limit"] for about in client.scheduler_info()["workers"].values()}
            assert limits == {10**9}
            assert client.submit(os.getenv, "NUMBA_NUM_THREADS").result() == "1"
        with connected(scheduler) as again:
            assert again is client
        with pytest.raises(Failure, match="all those workers died") as caught, connected(scheduler) as again:
            again.submit(suicide, 0).result()
        assert isinstance(caught.value.__cause__, distributed.KilledWorker)
        assert "most often it is memory" in str(caught.value)
        with pytest.raises(OSError, match=r"^disk$"), connected(scheduler):
            raise OSError("disk")
    until(
        "the end of all workers", lambda: not any("spawn_main" in str(p.cmdline()) for p in psutil.Process().children())
    )
    assert client.status == "closed"


def test_other_versions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetprep.engine.dask_cluster.__version__", "9.9")
    message = r"the scheduler has unetprep [\d.]+, Python 3[\d.]+\n  allowed: unetprep 9.9"
    with pytest.raises(Failure, match=message), connected(Scheduler("processes", 1)):
        pass
