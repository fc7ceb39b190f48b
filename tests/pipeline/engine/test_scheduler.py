"""What is asked for, checked before anything is started. What is started then: tests/cluster."""

import subprocess
import sys
from typing import Any

import pytest

from unetprep.engine.dask_cluster import connected
from unetprep.engine.scheduler import Scheduler, Tls
from unetprep.errors import Failure, InvalidInput
from unetprep.params import (
    ClusterParams,
)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (ClusterParams(scheduler="slurmy"), "allowed: local, processes, slurm, or the address of a Dask scheduler"),
        (ClusterParams(scheduler="slurm"), "Slurm needs to know the memory of a job"),
        (ClusterParams(scheduler="slurm", memory="1GB", workers=2, min_workers=3), "min-workers is 3 and workers is 2"),
        (ClusterParams(scheduler="processes", memory="4G"), "memory is '4G'"),
        (ClusterParams(scheduler="tls://h:1", tls_ca=__file__), "tls-cert is not given"),
        (ClusterParams(tls_ca=__file__, tls_cert=__file__, tls_key=__file__), "tls-ca is given, but scheduler is 'loc"),
        (ClusterParams(wait="soon"), "wait is 'soon'"),
    ],
)
def test_what_does_not_fit_together_is_explained(params: ClusterParams, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Scheduler.of(params)


def test_slurm_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    slurm = Scheduler("slurm", memory_bytes=10**9)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Failure, match="Slurm's sbatch is not installed"), connected(slurm):
        pass
    for name in ("dask_jobqueue", "dask_jobqueue.slurm"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "unetprep.engine.slurm", raising=False)
    message = r"dask-jobqueue.* is not installed\n  to do:   pip install 'unetprep\[cluster\]"
    with pytest.raises(Failure, match=message), connected(slurm):
        pass


def test_threads_of_this_process_need_no_distributed() -> None:
    code = (
        "import sys, unetprep.engine.run\nfrom unetprep.engine.dask_cluster import Scheduler, kept_connections\n"
        "with kept_connections(): Scheduler(workers=2)\n"
        "assert not {'distributed', 'dask_jobqueue'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_workers_of_one_machine_and_tls_files_of_slurm_are_checked(tmp_path: Any) -> None:
    with pytest.raises(InvalidInput, match="1 to 1024"):
        Scheduler("processes", 2000)
    Scheduler("slurm", 2000, memory_bytes=2**30)
    paths = [tmp_path / name for name in ("a b", "cert", "key")]
    for path in paths:
        path.write_text("")
    with pytest.raises(InvalidInput, match="for Slurm, whose job scripts name them"):
        Scheduler("slurm", memory_bytes=2**30, tls=Tls(*map(str, paths)))
