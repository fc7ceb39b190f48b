"""Checks of the machine, its folder, and the libraries that it loads, with faults that are made on purpose."""

import errno
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from unetprep.diagnosing import Check, doctor, folder, machine, programs
from unetprep.diagnosing.folder import check_folder, file_system
from unetprep.diagnosing.machine import check_machine
from unetprep.diagnosing.programs import check_compiled, check_gpu, check_schedulers

GIB = 2**30


def states(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.state for check in checks}


# -- folder -----------------------------------------------------------------------------------------------------------


def test_a_folder_of_a_plain_disk_is_fine_and_left_as_it_was(tmp_path: Path) -> None:
    names = ("disk space", "atomic replacement", "locks of stores", "file locks")
    assert states(check_folder(tmp_path)) == dict.fromkeys(names, "ok")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("function", "name", "state"),
    [("replace", "atomic replacement", "fault"), ("fsync", "atomic replacement", "fault")],
)
def test_a_file_system_without_what_writing_needs_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, name: str, state: str
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, function, refuse)
    check = next(check for check in check_folder(tmp_path) if check.name == name)
    assert (check.state, check.found) == (state, "fails: Invalid argument")
    assert "another file system" in check.to_do


def test_a_file_that_is_not_replaced_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "replace", lambda old, new: os.unlink(old))
    assert states(check_folder(tmp_path))["atomic replacement"] == "fault"


def test_missing_hard_links_are_no_fault_and_missing_locks_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr("fcntl.flock", refuse)
    found = states(check_folder(tmp_path))
    assert (found["locks of stores"], found["file locks"]) == ("ok", "note")


def test_a_folder_that_cannot_be_used_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (missing,) = check_folder(tmp_path / "x")
    assert (missing.state, missing.found) == ("fault", "No such file or directory")

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    *_, closed = check_folder(tmp_path)
    assert (closed.state, closed.found) == ("fault", "cannot be written to: Permission denied")


def test_little_space_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "LITTLE_SPACE", 2**80)
    assert states(check_folder(tmp_path))["disk space"] == "note"


def test_the_file_system_is_that_of_the_deepest_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my data").mkdir()
    mounts = tmp_path / "mounts"
    at = str(tmp_path / "my data").replace(" ", "\\040")
    mounts.write_text(f"1 0 8:1 / / rw - ext4 /dev/x rw\n2 1 0:5 / {at} rw shared:1 - nfs4 server:/x rw\n")
    monkeypatch.setattr(folder, "MOUNTS", mounts)
    assert (file_system(tmp_path / "my data"), file_system(tmp_path)) == ("nfs4", "ext4")
    monkeypatch.setattr(folder, "MOUNTS", tmp_path / "none")
    assert file_system(tmp_path) == ""


# -- machine ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "available", "state", "found"),
    [
        (16 * GIB, 12 * GIB, "ok", "12GiB of 16GiB free"),
        (9 * GIB, 1 * GIB, "note", "1024MiB of 9216MiB free (a limit of this process; the machine has 16GiB)"),
        (None, None, "note", "unknown on this system: --memory sets a limit"),
    ],
)
def test_memory_is_given_with_its_limit(
    monkeypatch: pytest.MonkeyPatch, total: int | None, available: int | None, state: str, found: str
) -> None:
    for name, value in {"total": total, "available": available, "machine": 16 * GIB}.items():
        monkeypatch.setattr(machine, f"{name}_memory", lambda value=value: value)
    check = next(check for check in check_machine() if check.name == "memory")
    assert (check.state, check.found) == (state, found)


def test_kernels_that_cannot_be_kept_are_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def kept() -> Check:
        return next(check for check in check_machine() if check.name == "compiled kernels")

    assert kept().state == "ok"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "new"))
    assert kept().found == f"kept in {tmp_path / 'new'}"
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    assert (kept().state, kept().to_do[:23]) == ("fault", "export NUMBA_CACHE_DIR=")


# -- programs ---------------------------------------------------------------------------------------------------------


def answering(monkeypatch: pytest.MonkeyPatch, output: str, error: str = "", code: int = 0) -> None:
    done = subprocess.CompletedProcess[str]([], code, output, error)
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: done)


def test_a_library_that_cannot_be_loaded_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "COMPILED", ("math", "no_such_module"))
    (check,) = check_compiled()
    assert (check.name, check.state) == ("no_such_module", "fault")
    assert check.found == "cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"
    monkeypatch.setattr(programs, "COMPILED", ("math",))
    assert states(check_compiled()) == {"compiled packages": "ok"}
    answering(monkeypatch, "", "", -11)
    assert check_compiled()[0].found == "cannot be loaded: its process ended with -11 (a signal)"


GPU = '{"version": "2.9", "cuda": "13", "mps": false, "threads": 2, "gpus": [["H200", 150323855360]]}'
CPU = GPU.replace('[["H200", 150323855360]]', "[]")


@pytest.mark.parametrize(
    ("output", "has_gpu", "state", "found"),
    [
        (GPU, True, "ok", "H200, 140 GiB"),
        (CPU, False, "note", "none: trainings run on the CPU"),
        (CPU, True, "fault", "there is an NVIDIA GPU, and torch for CUDA 13 does not see it"),
        (CPU.replace('"13"', "null"), True, "fault", "there is an NVIDIA GPU, and this build of torch is for CPUs"),
        (CPU.replace("false", "true"), False, "ok", "the GPU of this Mac"),
    ],
)
def test_gpus_are_those_that_torch_sees(
    monkeypatch: pytest.MonkeyPatch, output: str, has_gpu: bool, state: str, found: str
) -> None:
    answering(monkeypatch, f"a warning\n{output}\n")
    monkeypatch.setattr(programs, "installed_version", lambda name: "2.9")
    monkeypatch.setattr(programs, "has_nvidia_gpu", lambda: has_gpu)
    torch, gpu = check_gpu()
    assert (torch.state, torch.found) == ("ok", "2.9, 2 threads")
    assert (gpu.state, gpu.found) == (state, found)


def test_a_torch_that_cannot_be_loaded_is_a_fault_and_none_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "installed_version", lambda name: "2.9")
    answering(monkeypatch, "", "Traceback\nOSError: libcudart.so.13: cannot open\n", 1)
    (check,) = check_gpu()
    assert (check.state, check.found) == ("fault", "cannot be loaded: OSError: libcudart.so.13: cannot open")
    monkeypatch.setattr(programs, "installed_version", lambda name: "")

    def run(*args: Any, **options: Any) -> None:
        raise AssertionError("torch is not installed")

    monkeypatch.setattr(subprocess, "run", run)
    assert states(check_gpu()) == {"torch": "missing"}


def test_schedulers_follow_from_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"dask-jobqueue": "0.9", "dask": "1", "distributed": "1"}
    monkeypatch.setattr(programs, "installed_version", lambda name: installed.get(name, ""))
    monkeypatch.setattr("shutil.which", lambda name: "/bin/sbatch")
    assert {*states(check_schedulers()).values()} == {"ok"}
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert states(check_schedulers())["slurm"] == "missing"
    installed.clear()
    found = states(check_schedulers())
    assert found == {"local": "ok", "processes": "missing", "tcp://HOST:PORT": "missing", "slurm": "missing"}


def test_torch_is_asked_in_its_own_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The question that another process would run, asked in this one, which has loaded torch for other tests."""
    pytest.importorskip("torch")
    exec(programs.LOOK_FOR_GPUS, {})
    answering(monkeypatch, capsys.readouterr().out)
    torch, *_ = check_gpu()
    assert (torch.state, torch.found.partition(",")[0]) == ("ok", metadata.version("torch"))


def test_a_diagnosis_loads_no_heavy_package_into_its_own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys\nfrom unetprep.diagnosing import diagnosis\nprint({'torch', 'dask', 'zarr'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found == "set()\n"
    answering(monkeypatch, GPU)
    assert {"packages", "extras", "formats", "schedulers", "machine", "folder"} <= {c.section for c in doctor()}
