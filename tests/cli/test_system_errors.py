"""Messages for errors of the operating system and for a lack of memory."""

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from tests.cli.conftest import SMALL, Run, ends
from unetcli.system_errors import OS_ERRORS, describe_memory_error, describe_os_error, is_memory_error


@pytest.mark.parametrize("number", [*OS_ERRORS, errno.EDOM])
def test_an_error_of_the_system_names_the_file_and_what_to_do(number: int, tmp_path: Path) -> None:
    code, said = ends(OSError(number, os.strerror(number), str(tmp_path / "no" / "x.pt")))
    assert code == 1
    assert said.startswith(f"error: {tmp_path}/no/x.pt ")
    assert "\n  to do:   " in said
    assert "Errno" not in said
    assert not said.count("{")


def test_a_full_disk_is_told_with_what_is_free(tmp_path: Path) -> None:
    said = describe_os_error(OSError(errno.ENOSPC, "No space left on device", str(tmp_path / ("a" * 300))))
    assert " cannot be written: the disk is full (" in said
    assert "iB are free)" in said
    assert describe_os_error(OSError(errno.EMFILE, "x")).startswith(
        "a file cannot be opened: this process has too many"
    )


def test_a_full_disk_while_saving_is_told_by_the_file_and_the_old_one_stays(
    run: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(f"unettrain fit ds.zarr {SMALL} --run r --steps 2")
    before = (tmp_path / "r" / "last.pt").read_bytes()

    def full(content: object, file: object) -> NoReturn:
        try:
            file._file = FullDisk()  # type: ignore[attr-defined]
            file.write(b"x")  # type: ignore[attr-defined]
        except OSError:
            raise RuntimeError("unexpected pos 64 vs 0") from None
        raise AssertionError

    monkeypatch.setattr(torch, "save", full)
    said = run(f"unettrain fit ds.zarr {SMALL} --run r", 1).stderr
    assert "error: r/best.pt cannot be written: the disk is full (" in said or "error: r/last.pt cannot be" in said
    assert "unexpected pos" not in said
    assert (tmp_path / "r" / "last.pt").read_bytes() == before
    assert {"best.pt", "config.json", "last.pt", "log.jsonl"} <= {p.name for p in (tmp_path / "r").iterdir()}
    assert not [*(tmp_path / "r").glob(".partial-*")]


class FullDisk:
    def write(self, data: bytes) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "memory is not enough\n"),
        (MemoryError("Unable to allocate 3.55 PiB for an array"), "memory is not enough: 3.55 PiB more were needed\n"),
        (
            RuntimeError("[enforce] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000 bytes"),
            "memory is not enough: 4000 bytes more were needed\n",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has"),
            "the GPU's memory is not enough: 2.00 GiB more were needed\n",
        ),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), "the GPU's memory is not enough\n"),
    ],
)
def test_a_lack_of_memory_is_told_with_what_takes_less(error: Exception, said: str) -> None:
    code, message = ends(error)
    assert code == 1
    assert message.startswith(f"error: {said}  to do:   fewer --workers")
    assert describe_memory_error(error, "fit").startswith(f"{said}  to do:   a smaller batch-size, fewer base-channels")
    assert describe_memory_error(error, "predict").startswith(f"{said}  to do:   a smaller --tile")


def test_other_errors_are_no_lack_of_memory() -> None:
    assert not is_memory_error(RuntimeError("shapes do not fit"))
    assert not is_memory_error(OSError(errno.ENOSPC, "x"))
