"""Random kills, then finish: the tree's digest equals that of a run that nobody disturbed.

    python -m benchmarks.engine.chaos [SEED [KILLS]]      (make chaos), writes chaos.json beside this file

A real job (import, weights, deform, tiles) runs as a process, on threads, on worker processes, and onto a real S3
server on the loopback interface. At a random moment the client, a worker or the server is killed, or the client is told
to stop; then the same command is repeated, killed again, and so on. When it gets through, the store is compared, and
begun anew. The seed is printed: with it the same kills come again, at the same times.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tifffile

from benchmarks.measure import machine, write
from tests.servers import BUCKET, S3Server
from unetprep.sources.cells import Cells
from unetprep.storage.registry import open_storage

HERE = Path(__file__).parent
UNETPREP = (sys.executable, "-c", "import sys; from unetcli.prep.main import main; main(sys.argv[1:])")
VICTIMS = {
    ("local", "disk"): ("client", "stop"),
    ("processes", "disk"): ("client", "worker", "stop"),
    ("local", "s3"): ("client", "server"),
    ("processes", "s3"): ("client", "worker", "server"),
}
STOPPED, KILLED, FAILED = 75, -signal.SIGKILL, 1  # one that is told to stop before it has begun dies of SIGTERM
RECIPE = """
out = "unused.zarr"
[import]
image = "images"
labels = "masks"
test-fraction = 0.2
[deform]
fields = 20000
[tiles]
tile = 316
margin = 8
"""


def make_data(folder: Path) -> None:
    """Some images of different sizes, one of several shards."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for k, shape in enumerate([(2100, 2200), (300, 400), (500, 260), (640, 640), (200, 200)]):
        labels = Cells(shape, shape[0] * shape[1] // 2000, 0.5).window((0, 0), shape)
        noise = np.random.default_rng(k).integers(0, 60, shape)
        tifffile.imwrite(folder / f"images/{k}.tif", ((labels > 0) * 120 + noise).astype(np.uint8))
        tifffile.imwrite(folder / f"masks/{k}.tif", labels)
    (folder / "recipe.toml").write_text(RECIPE)


def digest(url: str) -> str:
    """Of all objects below a URL: names and bytes."""
    storage, found = open_storage(url), sha256()
    for key, _ in sorted(storage.listing()):
        found.update(key.encode() + b"\0" + sha256(storage.get(key)).digest())
    return found.hexdigest()


class Chaos:
    """The job, what becomes of it, and how often it was hurt."""

    def __init__(self, folder: Path, server: S3Server, chance: random.Random) -> None:
        self.folder, self.server, self.chance = folder, server, chance
        self.seconds: dict[str, float] = {}  # how long an undisturbed run takes
        self.expected = ""
        self.kills: dict[str, int] = {}
        self.finished = self.different = self.missed = 0

    def command(self, scheduler: str, url: str) -> list[str]:
        """The command line."""
        return [*UNETPREP, "run", "recipe.toml", "--out", url, "--scheduler", scheduler, "--workers", "2", "-q"]

    @contextmanager
    def running(self, scheduler: str, url: str) -> Iterator[subprocess.Popen[str]]:
        """The job in a session of its own; nothing of it is left afterwards."""
        process = subprocess.Popen(
            self.command(scheduler, url),
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
                child.kill()
            if process.poll() is None:
                process.kill()
            process.communicate()

    def undisturbed(self) -> None:
        """Runs without any kill: how long they take, and what they make."""
        for name, scheduler in (("compiling", "local"), ("processes", "processes"), ("local", "local")):
            start = time.monotonic()
            with self.running(scheduler, f"{name}.zarr") as process:
                assert process.wait() == 0, process.communicate()
            self.seconds[scheduler] = time.monotonic() - start
        self.expected = digest(str(self.folder / "local.zarr"))

    def hurt(self, process: subprocess.Popen[str], victim: str) -> bool:
        """Do it; False if the run was over already."""
        if process.poll() is not None:
            return False
        if victim == "client":
            process.kill()
        elif victim == "stop":
            process.terminate()
        elif victim == "server":
            self.server.kill()
            time.sleep(self.chance.uniform(0.1, 2))
            self.server.restart()
        else:
            workers = [p for p in psutil.Process(process.pid).children(recursive=True) if "spawn_main" in str(_line(p))]
            if not workers:
                return False
            self.chance.choice(workers).kill()
        self.kills[victim] = self.kills.get(victim, 0) + 1
        return True

    def compare(self, url: str) -> None:
        """A store that is finished with the one that nobody disturbed."""
        self.finished += 1
        self.different += digest(url) != self.expected

    def round(self, scheduler: str, place: str) -> None:
        """Hurt run after run; a store that is finished all the same is compared, and another one begun."""
        root = f"s3://{BUCKET}" if place == "s3" else str(self.folder)
        url = f"{root}/{self.finished}.zarr"
        for victim in self.chance.choices(VICTIMS[scheduler, place], k=6):
            with self.running(scheduler, url) as process:
                moment = self.chance.uniform(0.1, 0.9) * self.seconds[scheduler]
                with suppress(subprocess.TimeoutExpired):
                    process.wait(moment)
                was_hurt = self.hurt(process, victim)
                self.missed += not was_hurt
                said = process.communicate(timeout=300)[1]
            why = f": {said}" if process.returncode == FAILED else ""
            print(f"{place} {scheduler}: {victim} after {moment:.1f} s -> {process.returncode}{why}", flush=True)
            if process.returncode not in (0, STOPPED, KILLED, FAILED, -signal.SIGTERM):
                raise RuntimeError(f"{victim} led to exit code {process.returncode}:\n{said}")
            if process.returncode == 0:
                self.compare(url)
                url = f"{root}/{self.finished}.zarr"
        with self.running("local", url) as process:
            said = process.communicate(timeout=300)[1]
            if process.returncode:
                raise RuntimeError(f"the last run failed:\n{said}")
        self.compare(url)


def _line(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def main(seed: int, least_kills: int) -> None:
    """Go on until there were so many kills."""
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(folder)
        (folder / "server").mkdir()
        server = S3Server(folder / "server")
        os.environ |= server.environment
        chaos = Chaos(folder, server, random.Random(seed))
        try:
            chaos.undisturbed()
            while sum(chaos.kills.values()) < least_kills:
                for scheduler, place in VICTIMS:
                    chaos.round(scheduler, place)
        finally:
            server.kill()
    results: dict[str, Any] = {
        "machine": machine("dask", "distributed", "zarr", "obstore"),
        "seed": seed,
        "kills": chaos.kills,
        "moments_at_which_nothing_ran": chaos.missed,
        "stores_finished": chaos.finished,
        "stores_that_differ": chaos.different,
    }
    write(HERE / "chaos.json", results)
    if chaos.different:
        sys.exit(f"{chaos.different} of {chaos.finished} stores differ; repeat with seed {seed}")


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    main(*(numbers + [random.SystemRandom().randrange(10**6), 30][len(numbers) :]))
