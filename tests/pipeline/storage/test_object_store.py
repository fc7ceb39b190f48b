"""Storage in a bucket: credentials, endpoints, and servers that fail."""

import json
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.servers import S3Server, free_ports
from unetprep.storage import object_store as objects
from unetprep.storage.base import Storage
from unetprep.storage.registry import open_storage


def test_a_url_is_taken_literally(s3: str) -> None:
    open_storage(f"{s3}/a b/50%/x#y?z").put("k", b"1")
    assert list(open_storage(s3).listing()) == [("a b/50%/x#y?z/k", 1)]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "RETRY_SECONDS", 1)
    monkeypatch.setattr(objects, "ANSWER_SECONDS", 1)


CALLS: dict[str, Callable[[Storage], Any]] = {
    "get": lambda storage: storage.get("x"),
    "get_ranges": lambda storage: storage.get_ranges("x", [(0, 1)]),
    "put": lambda storage: storage.put("x", b"1"),
    "put_if_absent": lambda storage: storage.put_if_absent("x", b"1"),
    "listing": lambda storage: list(storage.listing()),
    "delete": lambda storage: storage.delete("x"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_are_told(s3: str, monkeypatch: pytest.MonkeyPatch, call: str, variable: str) -> None:
    monkeypatch.setenv(variable, "wrong")
    with pytest.raises(PermissionError, match=f"(?s)cannot (read|write|list|delete) {s3}.*set AWS_ACCESS_KEY_ID and"):
        CALLS[call](open_storage(s3))


@pytest.mark.parametrize("call", CALLS)
def test_nobody_at_the_endpoint(monkeypatch: pytest.MonkeyPatch, impatient: None, call: str) -> None:
    endpoint = f"http://127.0.0.1:{free_ports(1)[0]}"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with pytest.raises(ConnectionError, match=f"s3://bucket/y.*no answer from {endpoint}"):
        CALLS[call](open_storage("s3://bucket/y", endpoint))


@pytest.mark.parametrize("call", ["get", "put", "put_if_absent"])
def test_an_endpoint_that_never_answers(monkeypatch: pytest.MonkeyPatch, impatient: None, call: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ConnectionError, match=f"s3://bucket/y/x: no answer from {endpoint}"):
            CALLS[call](open_storage("s3://bucket/y", endpoint))


def test_a_bucket_that_is_not_there(s3: str) -> None:
    storage = open_storage("s3://no-such-bucket/x")
    for call in ("get", "listing"):
        with pytest.raises(FileNotFoundError, match=r"the bucket of s3://no-such-bucket/x.* is not there"):
            CALLS[call](storage)


def test_the_endpoint_travels_and_the_keys_do_not(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    open_storage(s3).put("x", b"1")
    sent = pickle.dumps(open_storage(s3))
    assert os.environ["AWS_SECRET_ACCESS_KEY"].encode() not in sent
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert pickle.loads(sent).get("x") == b"1"


def test_an_endpoint_is_not_silently_another(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_storage(s3)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(OSError, match=r"the endpoint is .* but AWS_ENDPOINT_URL_S3 is http://127.0.0.1:9 here"):
        storage.put("x", b"1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    open_storage(s3).put("x", b"1")


def test_the_keys_of_a_profile(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = [os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(PermissionError, match=r"(?s)AWS_PROFILE is lab, which gives no credentials.*--profile lab"):
        open_storage(s3).put("x", b"1")
    lines = "[lab]\naws_access_key_id = {}\naws_secret_access_key = {}\n".format(*keys)
    (tmp_path / "credentials").write_text(lines)
    open_storage(s3).put("x", b"1")
    (tmp_path / "credentials").write_text(lines.replace("[lab]", "[default]"))
    monkeypatch.delenv("AWS_PROFILE")
    assert open_storage(s3).get("x") == b"1"
    told = json.dumps({"Version": 1, "AccessKeyId": keys[0], "SecretAccessKey": keys[1]})
    (tmp_path / "told.json").write_text(told)
    (tmp_path / "credentials").unlink()
    (tmp_path / "config").write_text(f"[profile process]\ncredential_process = cat {tmp_path}/told.json\n")
    monkeypatch.setenv("AWS_PROFILE", "process")
    assert open_storage(s3).get("x") == b"1"


FORKED = """
import os, sys
from unetprep.storage.registry import open_storage
storage = open_storage(sys.argv[1])
storage.put("x", b"1")
child = os.fork()
if child == 0:
    try:
        storage.get("x")
    except OSError as error:
        os._exit(0 if "'spawn'" in str(error) else 1)
    os._exit(2)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_process_is_told_instead_of_hanging(s3: str) -> None:
    done = subprocess.run([sys.executable, "-c", FORKED, s3], timeout=60, check=False)
    assert done.returncode == 0


def test_after_a_killed_server_the_retry_counts(s3: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes fail in the middle of a storm, and are made again with other bytes. None of the old may come later."""
    monkeypatch.setattr(objects, "RETRY_SECONDS", 0)
    storage, keys = open_storage(s3), [f"c/{i}" for i in range(200)]
    old, new = (bytes([value]) * 60_000 for value in (1, 2))
    written, enough = [], threading.Event()

    def write(key: str) -> bool:
        try:
            storage.put(key, old)
        except ConnectionError:
            return False
        written.append(key)
        if len(written) == 50:
            enough.set()
        return True

    try:
        with ThreadPoolExecutor(16) as threads:
            storm = [threads.submit(write, key) for key in keys]
            assert enough.wait(60)
            s3_server.kill()
            succeeded = [future.result() for future in storm]
    finally:
        s3_server.restart()
    assert 50 <= sum(succeeded) < 200
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda key: storage.put(key, new), keys))
        assert set(threads.map(storage.get, keys)) == {new}
    assert set(storage.listing()) == {(key, len(new)) for key in keys}


def test_a_write_waits_for_a_server_that_comes_back(s3: str, s3_server: S3Server) -> None:
    storage = open_storage(s3)
    storage.put("x", b"old")
    s3_server.kill()
    with ThreadPoolExecutor(2) as threads:
        put, put_if_absent = (
            threads.submit(storage.put, "x", b"new"),
            threads.submit(storage.put_if_absent, "lock", b"mine"),
        )
        s3_server.restart()
        put.result()
        assert put_if_absent.result()
    assert (storage.get("x"), storage.get("lock")) == (b"new", b"mine")


class Forgetful(BaseHTTPRequestHandler):
    """Objects in a dictionary. One that ignores conditions is an old server; a lost answer, a broken connection."""

    protocol_version = "HTTP/1.1"
    honours_conditions = True
    answers_lost = 0
    objects: ClassVar[dict[str, bytes]]

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        kind = type(self)
        if kind.honours_conditions and self.headers["If-None-Match"] and self.path in kind.objects:
            return self._answer(412)
        kind.objects[self.path] = data
        if kind.answers_lost:
            kind.answers_lost -= 1
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return None
        return self._answer(200)

    def do_GET(self) -> None:
        self._answer(200, self.objects[self.path])

    def do_POST(self) -> None:  # to delete several
        self.rfile.read(int(self.headers["Content-Length"]))
        self.objects.clear()
        self._answer(200, b"<DeleteResult><Deleted><Key>x/lock</Key></Deleted></DeleteResult>")

    def _answer(self, status: int, data: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("ETag", '"x"')
        self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[type[Forgetful], Storage]]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    kind = type("Server", (Forgetful,), {"objects": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield kind, open_storage("s3://bucket/x", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


def test_a_lost_answer_does_not_lose_the_lock(forgetful: tuple[type[Forgetful], Storage]) -> None:
    server, storage = forgetful
    server.answers_lost = 1
    assert storage.put_if_absent("lock", b"mine")
    server.answers_lost = 1
    assert not storage.put_if_absent("lock", b"mine")
    assert server.objects == {"/bucket/x/lock": b"mine"}


def test_a_server_that_ignores_conditions_is_found_out(forgetful: tuple[type[Forgetful], Storage]) -> None:
    server, storage = forgetful
    server.honours_conditions = False
    with pytest.raises(OSError, match="the server ignores the condition of a write"):
        storage.put_if_absent("lock", b"mine")
    assert server.objects == {}
