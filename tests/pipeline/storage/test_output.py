"""Outputs outside of stores: what is refused, what is replaced, and what a killed process leaves behind."""

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from unetprep.errors import Conflict, Failure, InvalidInput, UnetprepError
from unetprep.storage.output import Output, OutputKind, check_log, check_output, local_output
from unetprep.storage.temporary_folder import PREFIX


def is_own(path: Path) -> bool:
    return (path / "mark").exists() if path.is_dir() else path.read_bytes().startswith(b"ours")


KIND = OutputKind("the test", (".txt", ".zarr"), is_own)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def put(name: str, content: bytes = b"theirs") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def put_folder(name: str, *files: str) -> Path:
    for file in files:
        put(f"{name}/{file}")
    return Path(name)


def fifo(name: str) -> None:
    os.mkfifo(name)


def write_and(then: Callable[[], object], output: Output) -> None:
    """Write an output, and do something else before it is moved to its place."""
    with output.writing() as path:
        put_folder(str(path), "mark") if path.suffix == ".zarr" else put(str(path), b"ours")
        then()


def interrupt() -> None:
    raise KeyboardInterrupt


def tree() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("make", "out", "error", "message"),
    [
        (None, "a.png", InvalidInput, r"--out is a.png\n  allowed: a name that ends in .txt, .zarr"),
        (None, "s3://bucket/a.txt", InvalidInput, r"--out is s3://bucket/a.txt\n  allowed: a path on this machine"),
        (None, "s3:/bucket/a.txt", InvalidInput, r"--out is s3:/bucket/a.txt"),
        (None, "https://host/a.txt", InvalidInput, r"--out is https://host/a.txt"),
        (lambda: put_folder("a.txt", "kept"), "a.txt", Conflict, r"a.txt is a folder that the test did not write"),
        (lambda: put_folder("a.zarr", "kept"), "a.zarr", Conflict, r"a.zarr is a folder that the test did not write"),
        (lambda: put("a.txt"), "a.txt", Conflict, r"a.txt is a file that the test did not write"),
        (lambda: put("a.zarr"), "a.zarr", Conflict, r"a.zarr is a file that"),
        (lambda: os.symlink(put("b.txt", b"ours"), "a.txt"), "a.txt", Conflict, r"a.txt is a symbolic link that"),
        (lambda: os.symlink("nowhere", "a.txt"), "a.txt", Conflict, r"a.txt is a symbolic link that"),
        (lambda: fifo("a.txt"), "a.txt", Conflict, r"a.txt is a special file that"),
        (lambda: put("folder", b"ours"), "folder/a.txt", InvalidInput, r"lies below \S*folder, which is not a folder"),
        (lambda: put("folder"), "folder/new/a.txt", InvalidInput, r"lies below \S*folder, which is not a folder"),
        (
            lambda: put_folder("ds.zarr", "zarr.json"),
            "ds.zarr/a/a.txt",
            InvalidInput,
            r"inside the Zarr hierarchy \S*ds",
        ),
        (lambda: put_folder("v2", ".zgroup", "0/x"), "v2/0/a.txt", InvalidInput, r"inside the Zarr hierarchy \S*v2"),
        (None, f"{'a' * 300}.txt", InvalidInput, r"cannot be written: File name too long"),
    ],
)
def test_bad_places_are_refused_before_anything_is_written(
    make: Callable[[], object] | None, out: str, error: type[UnetprepError], message: str
) -> None:
    if make:
        make()
    before = tree()
    for overwrite in (False, True):
        with pytest.raises(error, match=message):
            check_output(out, KIND, overwrite=overwrite)
    assert tree() == before


def test_own_outputs_are_replaced_only_if_asked() -> None:
    put("a.txt", b"ours, old")
    with pytest.raises(Conflict, match=r"a.txt already exists\n  to do:   --overwrite replaces it"):
        check_output("a.txt", KIND, overwrite=False)
    check_output("a.txt", KIND, overwrite=True).write_bytes(b"ours, new")
    assert tree() == {"a.txt": b"ours, new"}


@pytest.mark.parametrize("name", ["a.txt", "link.txt", "hard.txt", "./x/../a.txt"])
def test_the_input_is_not_replaced(name: str) -> None:
    put("a.txt", b"ours")
    Path("x").mkdir()
    os.symlink("a.txt", "link.txt")
    os.link("a.txt", "hard.txt")
    for given in ("a.txt", f"file://{Path('a.txt').absolute()}", Path("link.txt")):
        with pytest.raises(InvalidInput, match=r"is the input"):
            check_output(name, KIND, overwrite=True, inputs=[given])


def test_a_folder_that_holds_an_input_is_not_replaced() -> None:
    put_folder("a.zarr", "mark", "images/x/zarr.json")
    os.symlink("a.zarr/images", "images")
    for given in ("a.zarr/images/x", "images/x"):
        with pytest.raises(InvalidInput, match=r"a.zarr holds the input"):
            check_output("a.zarr", KIND, overwrite=True, inputs=["s3://bucket/x", "missing", given])


def test_a_folder_that_cannot_be_written_to_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(InvalidInput, match=r"cannot be written to"):
        check_output("a.txt", KIND, overwrite=False)


def test_a_file_url_is_a_path() -> None:
    path = Path("a b.txt").absolute()
    check_output(path.as_uri(), KIND, overwrite=False).write_bytes(b"ours")
    assert path.read_bytes() == b"ours"
    with pytest.raises(InvalidInput, match="--run is gs://bucket/run"):
        local_output("gs://bucket/run", "--run")


def test_an_error_leaves_nothing_behind_and_the_old_output_whole() -> None:
    put("a.txt", b"ours, old")
    put_folder("b.zarr", "mark")
    before = tree()
    for out in ("a.txt", "b.zarr", "new/folder/c.txt"):
        with pytest.raises(KeyboardInterrupt):
            write_and(interrupt, check_output(out, KIND, overwrite=True))
    assert tree() == before
    assert not [path for path in Path().iterdir() if path.name not in ("a.txt", "b.zarr")]


def test_a_folder_is_replaced_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    put_folder("a.zarr", "mark", "old")
    output = check_output("a.zarr", KIND, overwrite=True)
    with output.writing() as path:
        put_folder(str(path), "mark", "new")
    assert set(tree()) == {"a.zarr/mark", "a.zarr/new"}
    before, rename, seen = tree(), os.rename, []

    def interrupted(source: Path, target: Path) -> None:
        seen.append(target)
        if len(seen) == 2:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr("os.rename", interrupted)
    with pytest.raises(KeyboardInterrupt), output.writing() as path:
        put_folder(str(path), "mark", "newer")
    assert len(seen) == 3
    assert tree() == before


def test_what_appears_meanwhile_is_not_replaced() -> None:
    for out, overwrite in (("a.txt", False), ("b.txt", True), ("c.zarr", False)):
        with pytest.raises(Conflict):
            write_and(lambda out=out: put(out), check_output(out, KIND, overwrite=overwrite))  # type: ignore[misc]
    assert tree() == dict.fromkeys(("a.txt", "b.txt", "c.zarr"), b"theirs")


def test_a_file_system_without_hard_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    check_output("a.txt", KIND, overwrite=False).write_bytes(b"ours")
    with pytest.raises(Conflict, match="did not write"):
        write_and(lambda: put("b.txt"), check_output("b.txt", KIND, overwrite=False))
    assert tree() == {"a.txt": b"ours", "b.txt": b"theirs"}


def test_a_full_disk_is_one_clear_error() -> None:
    with (
        pytest.raises(Failure, match=r"a.txt cannot be written: No space left on device\n  to do:   free some space"),
        check_output("a.txt", KIND, overwrite=False).writing(),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not list(Path().iterdir())


def test_permissions_are_those_of_any_new_file() -> None:
    check_output("a.txt", KIND, overwrite=False).write_bytes(b"ours")
    assert stat.S_IMODE(Path("a.txt").stat().st_mode) == stat.S_IMODE(put("b.txt").stat().st_mode)


KILLED = """
import os, signal, sys
from pathlib import Path
from unetprep.storage import output
from unetprep.storage.output import OutputKind, check_output
kind = OutputKind("the test", (".txt", ".zarr"), lambda path: True)
place, moment = sys.argv[1:]
if moment == "renaming":
    rename = os.rename
    def kill_after(source, target):
        rename(source, target)
        os.kill(os.getpid(), signal.SIGKILL)
    output.os.rename = kill_after
with check_output(place, kind, overwrite=True).writing() as path:
    path.mkdir()
    (path / "mark").write_bytes(b"half")
    if moment == "writing":
        os.kill(os.getpid(), signal.SIGKILL)
    if moment == "waiting":
        print("ready", flush=True)
        input()
"""


@pytest.mark.parametrize("moment", ["writing", "renaming"])
def test_the_next_write_removes_what_a_killed_process_left(moment: str) -> None:
    put_folder("a.zarr", "mark")
    done = subprocess.run([sys.executable, "-c", KILLED, "a.zarr", moment], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path for path in Path().iterdir() if path.name.startswith(PREFIX)]
    check_output("other.txt", KIND, overwrite=False).write_bytes(b"ours")
    assert tree() == {"a.zarr/mark": b"theirs", "other.txt": b"ours"}
    assert {path.name for path in Path().iterdir()} == {"a.zarr", "other.txt"}


def test_what_a_living_process_writes_is_left_alone() -> None:
    arguments = [sys.executable, "-c", KILLED, "a.zarr", "waiting"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        check_output("other.txt", KIND, overwrite=False).write_bytes(b"ours")
        process.communicate("\n")
    assert process.returncode == 0
    assert tree() == {"a.zarr/mark": b"half", "other.txt": b"ours"}


def test_a_temporary_folder_of_another_host_is_left_alone() -> None:
    put_folder(".unfinished-output-00000000-abc", "lock")
    put_folder(f"{PREFIX}abc", "lock")
    Path(f"{PREFIX}empty").mkdir()
    check_output("a.txt", KIND, overwrite=False).write_bytes(b"ours")
    assert set(tree()) == {".unfinished-output-00000000-abc/lock", "a.txt"}
    assert not Path(f"{PREFIX}empty").exists()


def test_lines_are_added_to_logs_alone() -> None:
    for name, content in (("new.log", None), ("empty.log", b""), ("a.log", b"2026-01-02 03:04:05,678 INFO x\n")):
        if content is not None:
            put(name, content)
        assert check_log(name) == Path(name)
    put("labels.tif")
    put_folder("ds.zarr", "zarr.json")
    with pytest.raises(Conflict, match=r"--log labels.tif exists and is not a log"):
        check_log("labels.tif")
    for name, message in (
        ("s3://bucket/log.txt", "allowed: a path on this machine"),
        ("ds.zarr/log.txt", "lies inside the Zarr hierarchy"),
        ("no/log.txt", "there is no folder no"),
        ("labels.tif/log.txt", "which is not a folder"),
    ):
        with pytest.raises(InvalidInput, match=message):
            check_log(name)
    with pytest.raises(Conflict, match="exists and is not a log"):
        check_log("ds.zarr")
