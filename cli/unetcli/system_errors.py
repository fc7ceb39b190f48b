"""Messages for errors of the operating system and for a lack of memory: what failed, on which file, what to do."""

import errno
import os
import re
import shutil
from pathlib import Path

FULL = "free some space there, or write to another disk, and repeat the command; files that were complete are unchanged"
NETWORK_DISK = "see that the disk or the network file system works, and repeat the command"

# What is wrong with the file, and what to do.
OS_ERRORS: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("cannot be written: the disk is full ({free} are free)", FULL),
    errno.EDQUOT: ("cannot be written: your quota on this disk is used up ({free} are free)", FULL),
    errno.EFBIG: ("cannot be written: it is larger than this file system, or `ulimit -f`, allows", FULL),
    errno.EROFS: ("cannot be written: the file system is read-only", "write to another place"),
    errno.EACCES: (
        "cannot be opened: permission denied",
        "name a place that you may read and write, or have its permissions changed (ls -l shows them)",
    ),
    errno.EPERM: ("cannot be changed: operation not permitted", "name a place that you may read and write"),
    errno.EEXIST: ("cannot be made: it is there already", "move it away, or name another place"),
    errno.ENOTEMPTY: ("cannot be replaced: the folder is not empty", "move it away, or name another place"),
    errno.ENOENT: ("is not there", "check the path"),
    errno.ENOTDIR: ("cannot be used: a part of its path is a file, not a folder", "check the path, or name another"),
    errno.EISDIR: ("is a folder, and a file is needed", "move it away, or name another place"),
    errno.ENAMETOOLONG: ("cannot be used: its name is too long", "a shorter name; most file systems take 255 bytes"),
    errno.ELOOP: ("cannot be opened: its symbolic links lead in a circle", "name the file itself"),
    errno.EMFILE: (
        "cannot be opened: this process has too many files open",
        "raise the limit (ulimit -n 65536), or use fewer workers",
    ),
    errno.ENFILE: ("cannot be opened: this machine has too many files open", "close other programs, and repeat"),
    errno.EIO: ("cannot be read or written: the disk reports an error", NETWORK_DISK),
    errno.ESTALE: ("cannot be read or written: the network file system lost it", NETWORK_DISK),
    errno.ETIMEDOUT: ("cannot be read or written: no answer in time", NETWORK_DISK),
    errno.EBUSY: ("cannot be changed: it is in use", "end the program that uses it, and repeat"),
    errno.EPIPE: ("cannot be written: whoever read it has ended", "let the program behind the pipe read to the end"),
    errno.EINVAL: ("cannot be read or written: this file system does not allow it", "name another place"),
    errno.ENODEV: ("cannot be read or written: this file system does not allow it", "name another place"),
    errno.ENXIO: ("cannot be opened: it is no regular file", "name another place"),
}

NO_MEMORY = re.compile(
    r"not enough memory|can't allocate memory|out of memory|cannot allocate memory|ALLOC_FAILED|calculation overflowed",
    re.IGNORECASE,
)
AMOUNT = re.compile(r"allocate ([\d.]+ ?[KMGTPE]?i?B(?:ytes)?)", re.IGNORECASE)

# By command, of what uses the memory.
LESS_MEMORY = {
    "fit": "a smaller batch-size, fewer base-channels or a smaller cache-mib; or smaller tiles (unetprep tiles --tile)",
    "predict": "a smaller --tile, or a machine with more memory; an image is predicted as a whole",
    "report": "a machine with more memory, or end other programs",
    "evaluate": "a machine with more memory, or end other programs",
}
LESS_MEMORY_OTHERWISE = "fewer --workers or a smaller --memory, or end other programs"


def describe_os_error(error: OSError) -> str:
    """One message for an error of the operating system. A text that a library wrote itself is left as it is."""
    if error.errno is None or not error.strerror:
        return str(error)
    problem, hint = OS_ERRORS.get(
        error.errno, (f"cannot be used: {error.strerror}", "see that the place is right and the disk works")
    )
    path = _path_of(error)
    return f"{path or 'a file'} {problem.format(free=_free(path))}\n  to do:   {hint}"


def is_memory_error(error: BaseException) -> bool:
    """Whether memory ran out, of this machine or of a GPU; torch says so by a RuntimeError."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and bool(NO_MEMORY.search(str(error)))


def describe_memory_error(error: BaseException, command: str) -> str:
    """One message for a lack of memory in a command."""
    text = str(error)
    where = "the GPU's memory" if "CUDA" in text or "cuDNN" in text or "CUDNN" in text else "memory"
    amount = AMOUNT.search(text)
    problem = f"{where} is not enough" + (f": {amount[1]} more were needed" if amount else "")
    return f"{problem}\n  to do:   {LESS_MEMORY.get(command, LESS_MEMORY_OTHERWISE)}"


def _path_of(error: OSError) -> str:
    return os.fsdecode(error.filename) if isinstance(error.filename, str | bytes | os.PathLike) else ""


def _free(path: str) -> str:
    """How much space is free where a file lies, in words."""
    place = Path(path or ".").absolute()
    while not os.path.exists(place) and place != place.parent:
        place = place.parent
    try:
        free = float(shutil.disk_usage(place).free)
    except OSError:
        return "an unknown number of bytes"
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if free < 1024:
            return f"{free:.4g} {unit}"
        free /= 1024
    return f"{free:.4g} TiB"
