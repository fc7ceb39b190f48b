"""Special files are refused at once: a named pipe without a writer would block for ever."""

import os
import socket
from pathlib import Path

import pytest

from unetprep.errors import InvalidInput
from unetprep.storage.regular_files import open_regular, read_regular, refuse_special


@pytest.fixture(params=["pipe", "socket", "device", "link"])
def special(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "special"
    if request.param == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            monkeypatch.chdir(tmp_path)  # the path of a socket must be short
            server.bind("special")
    elif request.param == "device":
        return Path("/dev/zero")
    else:
        os.mkfifo(path if request.param == "pipe" else tmp_path / "pipe")
        if request.param == "link":
            path.symlink_to(tmp_path / "pipe")
    return path


def test_special_files_are_refused_without_waiting(special: Path) -> None:
    for act in (refuse_special, open_regular, read_regular):
        with pytest.raises(InvalidInput, match=rf"{special} is a (named pipe|socket|device)"):
            act(special)


def test_regular_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    refuse_special(path)
    refuse_special(tmp_path)
    refuse_special(tmp_path / "missing")
    assert read_regular(path) == b"abc"
    assert read_regular(path, 3) == b"abc"
    with pytest.raises(InvalidInput, match="up to 2 bytes"):
        read_regular(path, 2)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "missing")
