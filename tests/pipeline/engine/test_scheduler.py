"""What is asked for, checked before anything is started. What is started then: tests/cluster."""

import subprocess
import sys
from pathlib import Path

import pytest

from unetprep.engine.dask_cluster import connected
from unetprep.engine.scheduler import Scheduler, Tls
from unetprep.errors import Failure, InvalidInput
from unetprep.params import ClusterParams, SlurmParams, parse_bytes, parse_time
from unetprep.recipe import read_cluster, read_recipe

WHOLE = """
[cluster]
scheduler = "slurm"
queue = "cpu"
account = "lab"
workers = 50
min-workers = 5
cores = 8
memory = "24GB"
walltime = "1-04:00:00"
interface = "ib0"
job-extra = ["--qos=low", "--nice=5"]
log-folder = "logs"
local-folder = "/scratch"
python = "/opt/python"
wait = "02:00:00"
tls-ca = "ca.pem"
tls-cert = "cert.pem"
tls-key = "/etc/key.pem"
"""


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", 4 * 10**9), ("3.5GiB", 3758096384), (" 512 MiB ", 2**29), ("1TB", 10**12), ("10B", 10), ("2KB", 2000)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["4", "4G", "GB", "-1GB", "0GB", "4iB", "4 gigabytes", "1e3MB"])
def test_sizes_of_which_one_cannot_be_sure(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"memory is '.*'\n  allowed: a number and B, KB, MB, GB"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("10:30", 630), ("04:00:00", 14400), ("2-12", 216000), ("1-00:30", 88200), ("1-00:00:10", 86410)],
)
def test_times_are_those_of_slurm(text: str, seconds: int) -> None:
    assert parse_time(text) == seconds
    assert parse_time(text) == SlurmParams(walltime=text).walltime_s()


@pytest.mark.parametrize("text", ["", "4h", "1:2:3:4", "-1", "1-"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInput, match="walltime is"):
        SlurmParams(walltime=text)


@pytest.mark.parametrize("walltime", ["2", "5", "30", "01:00:00", "7-00:00:00"])
def test_workers_retire_before_slurm_would_kill_them(walltime: str) -> None:
    lifetime, stagger = SlurmParams(walltime=walltime).lifetime_s()
    end = SlurmParams(walltime=walltime).walltime_s()
    assert lifetime + stagger <= end - min(300, end // 10)
    assert lifetime - stagger >= end // 2


def test_a_recipe_says_all_of_it_with_paths_as_seen_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('out = "ds.zarr"\n[import]\nlabels = "masks"\n' + WHOLE)
    for name in ("ca.pem", "cert.pem"):
        (tmp_path / name).write_text("")
    params = read_recipe(str(tmp_path / "recipe.toml")).cluster
    assert params == read_cluster(str(tmp_path / "recipe.toml"))
    assert (params.job_extra, params.tls_key) == (("--qos=low", "--nice=5"), "/etc/key.pem")
    assert params.log_folder == str(tmp_path / "logs")
    with pytest.raises(InvalidInput, match=r"tls-key is /etc/key.pem, which cannot be read"):
        Scheduler.of(params)
    (tmp_path / "cluster.toml").write_text(WHOLE.replace("/etc/key.pem", "ca.pem"))
    scheduler = Scheduler.of(read_cluster(str(tmp_path / "cluster.toml")))
    assert (scheduler.address, scheduler.num_workers, scheduler.memory_bytes) == ("slurm", 50, 24 * 10**9)
    assert (scheduler.slurm.cores, scheduler.slurm.min_workers, scheduler.patience_s) == (8, 5, 7200)
    assert scheduler.tls == Tls(*(str(tmp_path / name) for name in ("ca.pem", "cert.pem", "ca.pem")))
    assert hash(scheduler) == hash(Scheduler.of(read_cluster(str(tmp_path / "cluster.toml"))))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[cluster]\nschedular = "slurm"', "did you mean 'scheduler'?"),
        ('[clutser]\nscheduler = "slurm"', "did you mean 'cluster'?"),
        ('[cluster]\njob-extra = "--qos=low"', r"job-extra in \[cluster\] of .* is '--qos=low'\n  allowed: a list"),
        ("[cluster]\njob-extra = [1]", "allowed: a list of texts"),
        ("[cluster]\ncores = 0", "cores is 0\n  allowed: 1 to 4096"),
        ('[cluster]\nworkers = "all"', "workers in .* is 'all'\n  allowed: a value of type int"),
        ('[cluster]\nwalltime = "00:01:00"', "walltime is '00:01:00'\n  allowed: two minutes or more"),
        ("cluster = 3", r"allowed: a section \[cluster\]"),
        ('out = "ds.zarr"', "says nothing about a cluster"),
    ],
)
def test_a_wrong_section_is_explained(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "cluster.toml").write_text(text)
    with pytest.raises(InvalidInput, match=message):
        read_cluster(str(tmp_path / "cluster.toml"))


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
