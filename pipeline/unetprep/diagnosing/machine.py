"""Memory, cores and the cache of compiled kernels on this machine."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

import unetprep.kernels
from unetprep.diagnosing.check import FAULT, NOTE, OK, Check
from unetprep.engine.memory import num_cores
from unetprep.host_memory import available_memory, machine_memory, total_memory
from unetprep.params import format_bytes

LITTLE_MEMORY = 2 * 2**30  # bytes; less does not hold the libraries, torch, and a training of preset small
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
CACHE_VARIABLE = "NUMBA_CACHE_DIR"


def check_machine() -> list[Check]:
    """Memory with its limit, cores and threads, and where compiled kernels are kept."""
    return [*_memory(), _threads(), _kernel_cache()]


def _memory() -> Iterator[Check]:
    total, available, whole = total_memory(), available_memory(), machine_memory()
    if total is None or available is None:
        yield Check("machine", "memory", NOTE, "unknown on this system: --memory sets a limit")
        return
    limited = f" (a limit of this process; the machine has {format_bytes(whole)})" if whole and total < whole else ""
    state = OK if available >= LITTLE_MEMORY else NOTE
    few = "" if state == OK else "use --memory, and fit --preset small"
    yield Check("machine", "memory", state, f"{format_bytes(available)} of {format_bytes(total)} free{limited}", few)


def _threads() -> Check:
    cores, there = num_cores(), os.cpu_count() or 1
    found = f"{cores} cores" + (f" of {there}" if cores < there else "")
    given = [f"{name}={os.environ[name]}" for name in THREAD_VARIABLES if name in os.environ]
    return Check("machine", "threads", OK, ", ".join([found, *given]))


def _kernel_cache() -> Check:
    """numba keeps compiled kernels in a folder that it can write to; without any, no kernel can be used."""
    named = os.environ.get(CACHE_VARIABLE)
    beside = Path(unetprep.kernels.__path__[0]) / "__pycache__"
    users = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "numba"
    for place in (Path(named),) if named else (beside, users):
        if _is_writable(place):
            return Check("machine", "compiled kernels", OK, f"kept in {place}")
    places = named or f"{beside} and {users}"
    to_do = f"export {CACHE_VARIABLE}=FOLDER, with a folder that can be written to"
    return Check("machine", "compiled kernels", FAULT, f"cannot be kept: {places} cannot be written to", to_do)


def _is_writable(folder: Path) -> bool:
    while not folder.exists() and folder != folder.parent:  # numba makes it
        folder = folder.parent
    try:
        with TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def has_nvidia_gpu() -> bool:
    """Whether the driver of an NVIDIA GPU lists one on this machine."""
    gpus = Path("/proc/driver/nvidia/gpus")
    return Path("/dev/nvidia0").exists() or (gpus.is_dir() and any(gpus.iterdir()))
