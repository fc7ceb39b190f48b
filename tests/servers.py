"""A real S3-compatible server (SeaweedFS) on the loopback interface, which can be killed and restarted."""

import json
import socket
import subprocess
import sysconfig
import time
from pathlib import Path

import obstore
from obstore.store import S3Store

from unetprep.storage.local import LocalStorage
from unetprep.storage.registry import open_storage

ACCESS_KEY, SECRET_KEY, REGION, BUCKET = "tester", "a-secret-of-the-tests", "us-east-1", "bucket"
PORTS = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
START_SECONDS, POLL_SECONDS = 60.0, 0.05


def upload(folder: Path, url: str) -> str:
    """Copy a store into a bucket."""
    source, target = LocalStorage(str(folder)), open_storage(url)
    for key, _ in source.listing():
        target.put(key, source.get(key))
    return url


class S3Server:
    """SeaweedFS in a folder. `kill` is a power cut of the server; `restart` goes on with what its disk holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "data").mkdir()
        config = {
            "identities": [
                {
                    "name": "tester",
                    "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
                    "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                }
            ]
        }
        (folder / "s3.json").write_text(json.dumps(config))
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self.endpoint = f"http://127.0.0.1:{self.ports['s3.port']}"
        self._process: subprocess.Popen[bytes] | None = None
        self.restart()

    @property
    def environment(self) -> dict[str, str]:
        """What a client finds the server by."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": REGION,
        }

    def restart(self) -> None:
        """Start on the data that are there, and wait until the bucket can be written."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), cwd=self.folder, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError((self.folder / "log").read_text(errors="replace")[-4000:])
            time.sleep(POLL_SECONDS)

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _command(self) -> list[str]:
        weed = Path(sysconfig.get_path("scripts")) / "weed"
        fixed = {
            "dir": self.folder / "data",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "master.telemetry": "false",
            "master.electionTimeout": "1s",
            "master.heartbeatInterval": "100ms",
            "master.volumeSizeLimitMB": 64,
            "volume.preStopSeconds": 0,
            "volume.max": 64,
            "s3.config": self.folder / "s3.json",
            "s3.iam": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
        }
        return [str(weed), "server", "-s3", *(f"-{name}={value}" for name, value in {**fixed, **self.ports}.items())]

    def _is_ready(self) -> bool:
        store = S3Store(
            BUCKET,
            endpoint=self.endpoint,
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            region=REGION,
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )
        try:
            obstore.put(store, "ready", b"yes")
        except (OSError, obstore.exceptions.BaseError):
            return False
        return True


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports
