"""A web server that gives a byte now and then is given up after a while, however large the answer that it announces."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from unetprep.storage import object_store as objects
from unetprep.storage.base import Remote
from unetprep.storage.registry import open_storage

SIZE = 2**40  # bytes that the server announces
PAUSE_SECONDS = 0.02


@contextmanager
def dripping(from_header: bool, size: int = SIZE) -> Iterator[Remote]:
    """A server of which byte after byte comes, from the header on or from the body on."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                found = re.search(rb"range: bytes=(\d+)-(\d+)", connection.recv(2**16).lower())
                first, last = map(int, found.groups()) if found else (0, size - 1)
                status = f"206 Part\r\nContent-Range: bytes {first}-{last}/{size}" if found else "200 OK"
                date = "Mon, 12 Jan 2026 10:00:00 GMT"
                head = f"HTTP/1.1 {status}\r\nContent-Length: {last + 1 - first}\r\nLast-Modified: {date}\r\n\r\n"
                for part in [bytes([byte]) for byte in head.encode()] if from_header else [head.encode()]:
                    connection.sendall(part)
                    time.sleep(PAUSE_SECONDS)
                for _ in range(last + 1 - first):
                    connection.sendall(b"x")
                    time.sleep(PAUSE_SECONDS)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        storage = open_storage(f"http://127.0.0.1:{server.getsockname()[1]}/folder")
        assert isinstance(storage, Remote)
        yield storage


CALLS: dict[str, Callable[[Remote], object]] = {
    "get": lambda storage: storage.get("x"),
    "get_ranges": lambda storage: storage.get_ranges("x", [(0, 1000)]),
    "read_part": lambda storage: storage.read_part("x", 0, 1000),
    "stat": lambda storage: storage.stat("x"),
}


@pytest.mark.parametrize("from_header", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_an_answer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch, call: str, from_header: bool) -> None:
    monkeypatch.setattr(objects, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(objects, "RETRY_SECONDS", 0.1)
    start = time.monotonic()
    with dripping(from_header) as storage:
        if call == "stat" and not from_header:
            assert CALLS[call](storage) == (SIZE, "2026-01-12 10:00:00+00:00")
            return
        with pytest.raises(ConnectionError, match=r"cannot read http.*/x: (the server gave|no answer from)"):
            CALLS[call](storage)
    assert time.monotonic() - start < 30


def test_an_answer_that_takes_long_but_is_fast_enough_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(objects, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(objects, "SLOWEST_DOWNLOAD", 1)
    with dripping(False, 75) as storage:
        assert storage.get("x") == b"x" * 75
