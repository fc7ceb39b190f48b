"""Peers at the address of a Dask scheduler that are none: each ends in one clear error, after a limited time."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from unetprep.engine import dask_cluster as clusters
from unetprep.engine.dask_cluster import connected
from unetprep.engine.dask_peer import NoSchedulerError, check_peer, host_and_port
from unetprep.engine.scheduler import Scheduler
from unetprep.errors import Failure, InvalidInput

HANDSHAKE = bytes([58, *bytes(7), 1, *bytes(7), 42, *bytes(7)]) + (
    b"\x83\xabcompression\xc0\xa6python\x93\x03\x0b\x07\xafpickle-protocol\x05"
)


@contextmanager
def listening(behave: Callable[[socket.socket, threading.Event], object]) -> Iterator[str]:
    """The address of a server that does the same with every connection."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    behave(connection, stop)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        finally:
            stop.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def silent(connection: socket.socket, stop: threading.Event) -> None:
    stop.wait()


def dripping(connection: socket.socket, stop: threading.Event) -> None:
    for byte in HANDSHAKE:
        try:
            connection.sendall(bytes([byte]))
        except OSError:
            return
        if stop.wait(0.1):
            return


def saying(data: bytes) -> Callable[[socket.socket, threading.Event], object]:
    return lambda connection, stop: connection.sendall(data)


@pytest.mark.parametrize(
    ("behave", "message"),
    [
        (silent, "is silent for 0.5 s"),
        (dripping, "is silent for 0.5 s"),
        (saying(b""), "closes the connection"),
        (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "another protocol"),
        (saying(b"\xff" * 100), "another protocol"),
        (saying(bytes(100)), "another protocol"),
    ],
)
def test_what_is_no_scheduler_is_told_in_time(
    behave: Callable[[socket.socket, threading.Event], object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "CONNECT_SECONDS", 0.5)
    with (
        listening(behave) as address,
        pytest.raises(Failure, match=f"no Dask scheduler answers at {address}: .*{message}"),
        connected(Scheduler(address)),
    ):
        raise AssertionError


def test_a_handshake_of_dask_is_recognized() -> None:
    with listening(saying(HANDSHAKE)) as address:
        check_peer(address, None, 5)


def test_a_scheduler_that_is_just_starting_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = [ConnectionRefusedError(111, "Connection refused")] * 3
    ours, theirs = socket.socketpair()
    message = b"..pickle-protocol.."
    theirs.sendall(len(message).to_bytes(8, "little") + message)

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        if refusals:
            raise refusals.pop()
        return ours

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr("unetprep.engine.dask_peer.RETRY_S", 0.0)
    check_peer("tcp://host:8786", None, 60)
    theirs.close()
    assert not refusals


def test_no_listener_is_an_error_of_the_system() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(ConnectionRefusedError):
        check_peer(address, None, 0.3)
    with pytest.raises((NoSchedulerError, OSError)):
        check_peer("tcp://" + "a" * 70 + ".invalid:1", None, 5)


@pytest.mark.parametrize(
    "address",
    ["tcp://", "tcp://host", "tcp://:1", "tcp://host:x", "tcp://host:99999", "tcp://a:b@host:1", "tcp://host:1/x",
     "tcp://[::1"],
)  # fmt: skip
def test_addresses_of_another_form_are_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="scheduler is"):
        Scheduler(address)


def test_addresses_with_a_host_and_a_port_are_taken() -> None:
    assert host_and_port("tcp://node-1.cluster:8786") == ("node-1.cluster", 8786)
    assert host_and_port("tls://[::1]:8786") == ("::1", 8786)
