"""A real Slurm of three nodes on this machine, in one temporary folder, without a privilege beyond being root."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import tifffile

from tests.synthetic import cell_image, cell_labels

NUM_NODES = 3
PATIENCE = 180.0  # seconds; a busy machine takes many times what a free one does
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "squeue", "sinfo", "scontrol")
CONF = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
MailProg=/bin/true
KillWait=2
ReturnToService=2
PartitionName=cpu Nodes=ALL Default=YES MaxTime=60 State=UP
"""


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens at."""
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def until(what: str, true: object, seconds: float = PATIENCE) -> None:
    """Wait until a function gives something true."""
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        time.sleep(0.05)


@dataclass(frozen=True)
class Slurm:
    """The Slurm that runs."""

    folder: Path
    environment: dict[str, str]

    def say(self, *words: str, folder: Path | None = None, more: Mapping[str, str] = MappingProxyType({})) -> str:
        """What one of Slurm's commands prints, run in a folder and with more in its environment."""
        done = subprocess.run(
            words, cwd=folder, env=self.environment | dict(more), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def jobs(self, state: str = "RUNNING") -> list[str]:
        """The numbers of the jobs that are in this state."""
        return self.say("squeue", "--noheader", "--states", state, "--format", "%A").split()


def why_not() -> str:
    """Why no Slurm can be started here; empty if one can."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"Slurm is not installed (no {', '.join(missing)}); on Debian: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "Slurm's programs are started as root here"


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """A Slurm of three nodes of one core."""
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("slurm")
    host, ports = socket.gethostname().split(".")[0], free_ports(1 + NUM_NODES)
    nodes = "".join(
        f"NodeName=n{k} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=4000 State=UNKNOWN\n"
        for k, port in enumerate(ports[1:])
    )
    conf, key = folder / "slurm.conf", folder / "munge.key"
    conf.write_text(nodes + CONF.format(host=host, ports=ports, folder=folder))
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    for name in ("state", *(f"spool-n{k}" for k in range(NUM_NODES))):
        (folder / name).mkdir()
    places = [f"--{what}-file={folder}/munge.{what}" for what in ("key", "pid", "seed", "log")]
    running = Slurm(folder, os.environ | {"SLURM_CONF": str(conf)})
    daemons = [
        ["munged", "-F", "-f", f"--socket={folder}/munge.socket", *places],
        ["slurmctld", "-D", "-i", "-f", str(conf)],
        *(["slurmd", "-D", "-N", f"n{k}", "-f", str(conf)] for k in range(NUM_NODES)),
    ]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for words in daemons:
            with (folder / f"{words[0]}.out").open("ab") as out:
                processes.append(subprocess.Popen(words, stdout=out, stderr=out, env=running.environment))
            if words[0] == "munged":
                until("munged", (folder / "munge.socket").exists)
        until("an idle Slurm", lambda: _idle(running) == NUM_NODES)
        yield running
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in reversed(processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _idle(slurm: Slurm) -> int:
    words = ("sinfo", "--noheader", "--Node", "--format", "%T")
    done = subprocess.run(words, env=slurm.environment, capture_output=True, text=True, check=False)
    return done.stdout.split().count("idle")


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images/ and masks/: several small images, so that there are several shards."""
    folder = tmp_path_factory.mktemp("cells")
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for k in range(8):
        labels = cell_labels((60 + k, 80), 12, seed=k)
        tifffile.imwrite(folder / "images" / f"{k:02}.tif", cell_image(labels))
        tifffile.imwrite(folder / "masks" / f"{k:02}.tif", np.asarray(labels))
    return folder
