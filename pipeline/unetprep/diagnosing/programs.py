"""Libraries that are loaded to see whether they work, and the schedulers that could be used.

Each library is loaded by another Python process: a broken one may end its process, and loading torch takes a second.
"""

import json
import shutil
import subprocess
import sys
from typing import Any

from unetprep.diagnosing.check import FAULT, MISSING, NOTE, OK, Check
from unetprep.diagnosing.machine import has_nvidia_gpu
from unetprep.diagnosing.packages import installed_version

LOAD_S = 120.0
COMPILED = ("numpy", "numba", "numcodecs", "imagecodecs", "google_crc32c", "PIL")
REINSTALL = "pip install --force-reinstall --no-deps "
LOAD_EACH = """
import importlib, json, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
        error = ""
    except Exception as failed:
        error = f"{type(failed).__name__}: {failed}"
    print(json.dumps([name, error.partition("\\n")[0]]), flush=True)
"""
LOOK_FOR_GPUS = """
import json, torch
count = torch.cuda.device_count() if torch.cuda.is_available() else 0
gpus = [torch.cuda.get_device_properties(k) for k in range(count)]
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda or getattr(torch.version, "hip", None),
    "mps": torch.backends.mps.is_available(), "threads": torch.get_num_threads(),
    "gpus": [[gpu.name, gpu.total_memory] for gpu in gpus]}))
"""


def check_compiled() -> list[Check]:
    """Whether the compiled packages that every command needs can be loaded."""
    output, error = _python(LOAD_EACH, *COMPILED)
    found = dict(json.loads(line) for line in output.splitlines() if line.startswith("["))
    for name in COMPILED:
        if (problem := found.get(name, error)) or name not in found:
            reason = problem or "its process ended without an answer"
            return [Check("libraries", name, FAULT, f"cannot be loaded: {reason}", REINSTALL + name)]
    return [Check("libraries", "compiled packages", OK, f"loaded: {', '.join(COMPILED)}")]


def check_gpu() -> list[Check]:
    """The version of torch, and the GPUs that it sees; torch is not loaded where it is not installed."""
    if not installed_version("torch"):
        return [Check("gpu", "torch", MISSING, "not installed: no training here", "pip install 'unetprep[train]'")]
    output, error = _python(LOOK_FOR_GPUS)
    try:
        seen = json.loads(output.splitlines()[-1])
    except (ValueError, IndexError):
        return [Check("gpu", "torch", FAULT, f"cannot be loaded: {error or 'no answer'}", f"{REINSTALL}torch")]
    return [Check("gpu", "torch", OK, f"{seen['version']}, {seen['threads']} threads"), *_gpus(seen)]


def _gpus(seen: dict[str, Any]) -> list[Check]:
    if seen["gpus"]:
        return [
            Check("gpu", f"cuda:{k}", OK, f"{name}, {size / 2**30:.0f} GiB")
            for k, (name, size) in enumerate(seen["gpus"])
        ]
    if seen["mps"]:
        return [Check("gpu", "mps", OK, "the GPU of this Mac")]
    if not has_nvidia_gpu():
        return [Check("gpu", "GPU", NOTE, "none: trainings run on the CPU")]
    if seen["cuda"]:
        why, to_do = (
            f"torch for CUDA {seen['cuda']} does not see it",
            "nvidia-smi must work; a newer driver may be needed",
        )
    else:
        why, to_do = "this build of torch is for CPUs", "install a build for CUDA: https://pytorch.org/get-started"
    return [Check("gpu", "GPU", FAULT, f"there is an NVIDIA GPU, and {why}", to_do)]


def check_schedulers() -> list[Check]:
    """What `--scheduler` may be here."""
    local = Check("schedulers", "local", OK, "threads of the process")
    if distributed := installed_version("distributed"):
        state, found, to_do = OK, f"dask {installed_version('dask')}, distributed {distributed}", ""
    else:
        state, found, to_do = MISSING, "distributed is not installed", "pip install 'unetprep[prep]'"
    of_dask = [Check("schedulers", name, state, found, to_do) for name in ("processes", "tcp://HOST:PORT")]
    jobqueue, sbatch = installed_version("dask-jobqueue"), shutil.which("sbatch")
    if not jobqueue:
        slurm = Check(
            "schedulers", "slurm", MISSING, "dask-jobqueue is not installed", "pip install 'unetprep[cluster]'"
        )
    elif not sbatch:
        slurm = Check(
            "schedulers", "slurm", MISSING, f"dask-jobqueue {jobqueue}, and no command sbatch on this machine"
        )
    else:
        slurm = Check("schedulers", "slurm", OK, f"dask-jobqueue {jobqueue}, {sbatch}")
    return [local, *of_dask, slurm]


def _python(code: str, *words: str) -> tuple[str, str]:
    """Standard output of a Python process, and one line that says how it failed; "" if it did not."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, timeout=LOAD_S
        )
    except (OSError, subprocess.SubprocessError) as failed:
        return "", str(failed)
    if done.returncode == 0:
        return done.stdout, ""
    ended = f"its process ended with {done.returncode}" + " (a signal)" * (done.returncode < 0)
    return done.stdout, (done.stderr.strip().splitlines() or [ended])[-1]
