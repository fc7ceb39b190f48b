"""Downloads from servers that break off, lie about lengths, ignore ranges and serve other things than the file."""

import errno
import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http_server import Served, serving
from unetprep.errors import Conflict, Failure
from unetprep.fetching.checking import Checked
from unetprep.fetching.data_set import Archive
from unetprep.fetching.downloads import PAUSES_S, download
from unetprep.fetching.partial import Partial

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()
RESUMABLE = (SHA256, None)  # with a digest, and with an ETag alone


@pytest.fixture(autouse=True)
def paused(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, without the time."""
    pauses: list[float] = []
    monkeypatch.setattr("unetprep.fetching.downloads.sleep", pauses.append)
    monkeypatch.setenv("no_proxy", "*")
    return pauses


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Served(CONTENT)) as server:
        yield server


def get(served: Served, folder: Path, sha256: str | None = SHA256, num_bytes: int | None = None) -> Checked:
    return download(Archive("file.bin", served.url, sha256, num_bytes), folder)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_download_is_verified_and_reports_its_progress(served: Served, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    checked = download(
        Archive("file.bin", served.url, SHA256, len(CONTENT)), tmp_path, lambda *numbers: seen.append(numbers)
    )
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert (checked.sha256, checked.is_verified) == (SHA256, True)
    assert files(tmp_path) == ["file.bin"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_without_a_digest_a_download_is_not_called_verified(served: Served, tmp_path: Path) -> None:
    checked = get(served, tmp_path, None)
    assert (checked.sha256, checked.is_verified) == (SHA256, False)


@pytest.mark.parametrize("sha256", RESUMABLE)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_connection_that_is_cut_off_is_resumed(
    served: Served, tmp_path: Path, sha256: str | None, chunked: bool, paused: list[float]
) -> None:
    served.cuts, served.chunked = [1000, 500, 0, 0, 2000], chunked
    get(served, tmp_path, sha256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    begins = ["", "bytes=1000-", "bytes=1500-", "bytes=1500-", "bytes=1500-", "bytes=3500-"]
    assert served.asked == [(begin, '"one"' if begin else "") for begin in begins]
    assert paused == [1, 1, 2, 4, 1]


def test_a_connection_that_brings_nothing_is_given_up(served: Served, tmp_path: Path, paused: list[float]) -> None:
    served.cuts = [1000] + [0] * 50
    with pytest.raises(Failure, match="ended after 1000 of 10240 bytes") as raised:
        get(served, tmp_path)
    assert "goes on from byte 1000" in str(raised.value)
    assert len(paused) == len(PAUSES_S)
    assert files(tmp_path) == [".partial-file.bin", ".partial-file.bin.json"]
    served.cuts = []
    get(served, tmp_path)  # a later command
    assert served.asked[-1] == ("bytes=1000-", '"one"')
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert files(tmp_path) == ["file.bin"]


def test_a_part_that_nothing_identifies_is_not_kept(served: Served, tmp_path: Path) -> None:
    served.etag, served.cuts = 'W/"weak"', [1000] + [0] * 50
    with pytest.raises(Failure, match="ended after 1000 of 10240"):
        get(served, tmp_path, None)
    assert files(tmp_path) == []
    served.modified, served.cuts = "Sun, 01 Nov 2026 10:00:00 GMT", [1000]
    served.asked.clear()
    get(served, tmp_path, None)
    assert served.asked[-1] == ("bytes=1000-", served.modified)


def test_a_file_that_changes_meanwhile_is_downloaded_anew(served: Served, tmp_path: Path) -> None:
    served.cuts = [1000] + [0] * 50
    with pytest.raises(Failure):
        get(served, tmp_path, None)
    served.cuts, served.etag, served.content = [], '"two"', CONTENT[::-1]
    get(served, tmp_path, None)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("sha256", RESUMABLE)
def test_parts_of_two_files_are_not_joined(served: Served, tmp_path: Path, sha256: str | None) -> None:
    """A server that ignores If-Range, with a new ETag or without any."""
    with Partial(tmp_path, Archive("file.bin", served.url, SHA256)) as partial:
        partial.begin('"other"' if sha256 is None else "")
        partial.append(b"x" * 1000)
    served.headers, served.etag = {"ETag": '"one"'} if sha256 is None else {}, '"other"' if sha256 is None else ""
    get(served, tmp_path, sha256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert [begin for begin, _ in served.asked] == ["bytes=1000-", ""]


def test_a_server_that_ignores_ranges_begins_anew(served: Served, tmp_path: Path) -> None:
    served.ranges, served.cuts = False, [1000, 2000]
    get(served, tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert [begin for begin, _ in served.asked] == ["", "bytes=1000-", "bytes=2000-"]


def test_a_range_that_begins_elsewhere_is_not_appended(served: Served, tmp_path: Path) -> None:
    served.shift, served.cuts = 7, [1000]
    get(served, tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert [begin for begin, _ in served.asked] == ["", "bytes=1000-", ""]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_length_that_is_too_long_is_found_out(served: Served, tmp_path: Path, ranges: bool) -> None:
    served.announced, served.ranges = len(CONTENT) + 100, ranges
    if ranges:  # 416 tells the true length, and the digest confirms it
        assert get(served, tmp_path).is_verified
        return
    with pytest.raises(Failure, match="ended after 10240 of 10340 bytes"):
        get(served, tmp_path)
    assert "file.bin" not in files(tmp_path)


def test_a_length_that_is_too_short_is_found_out(served: Served, tmp_path: Path) -> None:
    served.announced = 5000
    with pytest.raises(Failure, match=r"gave 5000 bytes that are not file\.bin") as raised:
        get(served, tmp_path)
    assert f"should be {SHA256}" in str(raised.value)
    assert files(tmp_path) == []
    with pytest.raises(Failure, match="has 5000 bytes, as the server says"):
        get(served, tmp_path, SHA256, len(CONTENT))


@pytest.mark.parametrize("chunked", [False, True])
def test_more_than_the_manifest_states_is_not_taken(served: Served, tmp_path: Path, chunked: bool) -> None:
    served.chunked = chunked
    with pytest.raises(Failure, match=r"10240 bytes, as the server says|gives more than 9000 bytes"):
        get(served, tmp_path, SHA256, 9000)
    assert files(tmp_path) == []


def test_wrong_bytes_are_named_and_not_kept(served: Served, tmp_path: Path) -> None:
    served.content = CONTENT[:-1] + b"x"
    with pytest.raises(Failure) as raised:
        get(served, tmp_path)
    message = str(raised.value)
    assert served.url in message
    assert hashlib.sha256(served.content).hexdigest() in message
    assert SHA256 in message
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("headers", "content", "message"),
    [
        ({"Content-Encoding": "gzip"}, CONTENT, "comes compressed as gzip"),
        ({}, b"<!DOCTYPE html><html><body>Log in", "gives a web page instead of file.bin"),
        ({}, b"\xef\xbb\xbf\n<html><head>", "gives a web page instead of file.bin"),
    ],
)
def test_something_else_than_the_file_is_refused(
    served: Served, tmp_path: Path, headers: dict[str, str], content: bytes, message: str
) -> None:
    served.headers, served.content = headers, content
    with pytest.raises(Failure, match=message) as raised:
        get(served, tmp_path, None)
    assert "--from FOLDER" in str(raised.value)
    assert files(tmp_path) == []


def test_statuses_that_pass_are_waited_for(served: Served, tmp_path: Path, paused: list[float]) -> None:
    served.statuses, served.headers = [503, 429], {"Retry-After": "7"}
    get(served, tmp_path)
    assert paused == [7, 7]
    (tmp_path / "file.bin").unlink()
    served.statuses = [404]
    with pytest.raises(Failure, match="status 404"):
        get(served, tmp_path)
    served.statuses = [503] * 50
    with pytest.raises(Failure, match="status 503"):
        get(served, tmp_path)


def test_redirects_are_followed_to_http_only(served: Served, tmp_path: Path) -> None:
    served.statuses, served.headers = [302], {"Location": f"{served.url}?other"}
    get(served, tmp_path)
    (tmp_path / "file.bin").unlink()
    for target in ("file:///etc/passwd", "ftp://127.0.0.1/a"):
        served.statuses, served.headers = [302], {"Location": target}
        with pytest.raises(Failure, match=r"leads to ftp://|Redirection to url 'file:"):
            get(served, tmp_path)


def test_a_server_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/file.bin"
        with pytest.raises(Failure, match=r"could not be downloaded: .*refused"):
            download(Archive("file.bin", url), tmp_path)
    assert files(tmp_path) == []


def test_a_full_disk_is_one_error(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetprep.fetching.unpacking.shutil.disk_usage", lambda path: type("Usage", (), {"free": 10}))
    with pytest.raises(Failure, match="needs 10240 bytes, and 10 are free"):
        get(served, tmp_path)
    monkeypatch.undo()
    monkeypatch.setenv("no_proxy", "*")

    def full(*arguments: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left") as raised:
        get(served, tmp_path)
    assert raised.value.filename == str(tmp_path / "file.bin")
    assert files(tmp_path) == []


def test_two_processes_do_not_write_one_file(served: Served, tmp_path: Path) -> None:
    with (
        Partial(tmp_path, Archive("file.bin", served.url, SHA256)),
        pytest.raises(Conflict, match="another process downloads"),
    ):
        get(served, tmp_path)
    get(served, tmp_path)


def test_what_stops_a_download_leaves_what_can_be_resumed(served: Served, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    served.cuts = [1000]
    with pytest.raises(KeyboardInterrupt):
        download(Archive("file.bin", served.url, SHA256), tmp_path, stop)
    get(served, tmp_path)
    assert served.asked[-1] == ("bytes=1000-", '"one"')


def test_links_are_not_written_through(served: Served, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"mine")
    for name in ("file.bin", ".partial-file.bin", ".partial-file.bin.json"):
        folder = tmp_path / f"of-{name}"
        folder.mkdir()
        (folder / name).symlink_to(tmp_path / "outside")
        with pytest.raises(PermissionError, match="symbolic link"):
            get(served, folder)
    assert (tmp_path / "outside").read_bytes() == b"mine"
