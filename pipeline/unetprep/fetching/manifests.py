"""Reading of manifests, which describe public data sets. A manifest is not trusted: every field is checked.

Fields that reach pip, a URL or a path match plain patterns, and a field that is not known is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from unetprep.errors import InvalidInput
from unetprep.fetching.data_set import MAX_BYTES, PATH_OPTIONS, Archive, DataFile, Manifest, Wheel
from unetprep.fetching.fields import (
    A_SHA256,
    SHA256,
    Table,
    digest,
    optional_text,
    optional_url,
    refuse_unknown,
    sections,
    text,
    whole_number,
)
from unetprep.parameter import option_name
from unetprep.params import ImportParams, LayoutParams
from unetprep.storage.paths import safe_key, safe_name
from unetprep.suggestions import did_you_mean
from unetprep.toml_files import read_toml

# In a wheel the manifests lie in the package, in a checkout beside it.
MANIFESTS = (Path(__file__).parents[1] / "data_manifests", Path(__file__).parents[3] / "data_manifests")
MAX_FILES = 10_000

WHEEL_FIELDS = {  # field: (pattern, what it describes)
    "package": (r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?", "a name of letters, digits, '.', '_' and '-'"),
    "version": (
        r"(?:\d{1,4}!)?\d{1,9}(?:\.\d{1,9}){0,9}(?:(?:a|b|rc)\d{1,9})?(?:\.post\d{1,9})?(?:\.dev\d{1,9})?",
        "one version, such as 1.2.3",
    ),
    "platform": (r"[A-Za-z0-9]\w{0,63}", "a platform tag, such as manylinux_2_28_x86_64 or any"),
    "python": (r"\d(?:\.\d{1,3}){0,2}", "a version of Python, such as 3.11"),
}
KINDS = ("wheel", "http", "local")
OPTIONAL_TEXTS = ("license", "cite", "cells", "pixel_size", "labels", "split", "obtain", "digest_origin")
FIELDS = (
    *("title", "terms", "home", "images", "approximate_bytes", "source", "archives", "files", "import"),
    *OPTIONAL_TEXTS,
)
FILE_FIELDS = {  # by kind of source
    "wheel": ("path", "member", "bytes", "sha256", "pixels"),
    "http": ("path", "member", "url", "bytes", "sha256", "pixels"),
    "local": ("path", "bytes", "sha256", "pixels"),
}
ARCHIVE_FIELDS = {
    "http": ("path", "url", "bytes", "sha256", "unpack"),
    "local": ("path", "bytes", "sha256", "unpack"),
}
IMPORT_OPTIONS = (
    *PATH_OPTIONS,
    *(option_name(each.name) for params in (ImportParams, LayoutParams) for each in fields(params)),
)


def manifest_names() -> list[str]:
    """The data sets that can be fetched by name."""
    return sorted(path.stem for folder in MANIFESTS for path in folder.glob("*.toml"))


def datasets() -> list[Manifest]:
    """The public data sets that can be fetched by name: their terms, sources, files and digests."""
    return [read_manifest(name) for name in manifest_names()]


def read_manifest(name: str) -> Manifest:
    """The manifest of this name, in upper or lower case, or at this path.

    Raises InvalidInput if there is none, or if an entry is missing or is not of the form that it must have.
    """
    path = _find_manifest(name)
    data = read_toml(path, "the manifest")
    where = str(path)
    refuse_unknown(data, FIELDS, where)
    source = data.get("source")
    if not isinstance(source, dict) or source.get("kind") not in KINDS:
        raise InvalidInput(f"[source] of {path} is {source!r}"[:300], allowed=f"a section with kind = {_one_of(KINDS)}")
    kind = source["kind"]
    archives = tuple(_read_archive(table, kind, where) for table in _sections(data, "archives", path))
    return Manifest(
        safe_name(path.stem, "the name of the data set"),
        text(data, "title", where),
        text(data, "terms", where),
        kind,
        _read_files(data, kind, path, archives),
        archives,
        _read_wheel(source, where),
        home=optional_url(data, "home", where),
        images=whole_number(data, "images", where, 10**9),
        approximate_bytes=whole_number(data, "approximate_bytes", where, MAX_BYTES),
        import_options=_read_import(data, where),
        **{field: optional_text(data, field, where) for field in OPTIONAL_TEXTS},
    )


def _find_manifest(name: str) -> Path:
    if name.endswith(".toml"):
        return Path(name)
    if name.lower() not in manifest_names():
        raise InvalidInput(
            f"no data set is called {name!r}",
            allowed=", ".join(manifest_names()),
            hint=did_you_mean(name, manifest_names()),
        )
    return next(path for folder in MANIFESTS if (path := folder / f"{name.lower()}.toml").exists())


def _one_of(words: Sequence[str]) -> str:
    return " or ".join(f'"{word}"' for word in words)


def _read_wheel(source: Table, where: str) -> Wheel | None:
    where = f"[source] of {where}"
    is_wheel = source["kind"] == "wheel"
    refuse_unknown(source, ("kind", *(WHEEL_FIELDS if is_wheel else ())), where)
    if not is_wheel:
        return None
    return Wheel(**{field: text(source, field, where, *form) for field, form in WHEEL_FIELDS.items()})


def _sections(data: Table, field: str, path: Path) -> list[Table]:
    return sections(data.get(field, []), field, path, MAX_FILES)


def _read_archive(table: Table, kind: str, path: str) -> Archive:
    where = f"[[archives]] of {path}"
    if kind not in ARCHIVE_FIELDS:
        raise InvalidInput(f"{path} lists archives, with kind = {kind!r}", allowed=_one_of(tuple(ARCHIVE_FIELDS)))
    refuse_unknown(table, ARCHIVE_FIELDS[kind], where)
    unpack = optional_text(table, "unpack", where)
    return Archive(
        safe_name(table.get("path"), f"path in {where}"),
        _read_url(table, kind, where),
        _read_sha256(table, where),
        whole_number(table, "bytes", where, MAX_BYTES),
        unpack if unpack in ("", ".") else safe_key(unpack, f"unpack in {where}"),
    )


def _read_files(data: Table, kind: str, path: Path, archives: Sequence[Archive]) -> tuple[DataFile, ...]:
    tables = _sections(data, "files", path)
    if not tables and not any(archive.unpack for archive in archives):
        raise InvalidInput(f"files of {path} are missing", allowed="sections [[files]], or archives with unpack")
    files = tuple(_read_file(table, kind, f"[[files]] of {path}") for table in tables)
    taken = {archive.path.casefold() for archive in archives}
    for file in files:
        if file.path.casefold() in taken:
            raise InvalidInput(f"{path} lists {file.path!r} twice", allowed="another path for each file")
        taken.add(file.path.casefold())
    for file in files:
        inside = next((str(p) for p in Path(file.path).parents if str(p).casefold() in taken), None)
        if inside:
            raise InvalidInput(f"{path} lists {inside!r} as a file and as a folder", allowed="one of the two")
    return files


def _read_file(table: Table, kind: str, where: str) -> DataFile:
    refuse_unknown(table, FILE_FIELDS[kind], where)
    in_archive = kind == "wheel" or (kind == "http" and "url" not in table)
    if kind == "wheel":
        text(table, "sha256", where, SHA256, A_SHA256)
    return DataFile(
        safe_key(table.get("path"), f"path in {where}"),
        safe_key(table.get("member"), f"member in {where}") if in_archive else "",
        "" if in_archive else _read_url(table, kind, where),
        _read_sha256(table, where),
        digest(table, "pixels", where),
        whole_number(table, "bytes", where, MAX_BYTES),
    )


def _read_url(table: Table, kind: str, where: str) -> str:
    if kind == "http" and "url" not in table:
        raise InvalidInput(f"url in {where} is missing", allowed="a URL that begins with https:// or http://")
    return optional_url(table, "url", where)


def _read_sha256(table: Table, where: str) -> str | None:
    if "sha256" not in table and "pixels" not in table:
        raise InvalidInput(f"sha256 in {where} is missing", allowed=f'{A_SHA256}, or "unknown"')
    return digest(table, "sha256", where)


def _read_import(data: Mapping[str, Any], path: str) -> dict[str, str]:
    """The options of `unetprep import`, as text."""
    where, table = f"[import] of {path}", data.get("import", {})
    if not isinstance(table, dict):
        raise InvalidInput(f"{where} is {table!r}"[:200], allowed="a section of options of unetprep import")
    refuse_unknown(table, IMPORT_OPTIONS, where)
    options = {}
    for option in table:
        value = text(table, option, where)
        options[option] = value
        if option in PATH_OPTIONS and value != ".":
            safe_key(value, f"{option} in {where}")
    return options
