"""Safe writing of output files: checks before the computation, atomic replacement after it.

Every command that writes a file outside of a store (a prediction, a picture, a report, a log) does so through this
module. `check_output` refuses an invalid destination before anything is computed; `Output.writing` provides a temporary
path on the same file system and renames it once its content is complete and on disk. A command replaces only files that
carry its own mark: see docs/overwrite.md.
"""

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from unetprep.errors import Conflict, Failure, InvalidInput
from unetprep.storage.atomic import sync_path
from unetprep.storage.temporary_folder import remove_leftovers, temporary_folder

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
ZARR_DOCUMENTS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
NO_HARD_LINKS = (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class OutputKind:
    """A kind of output: the command that writes it, endings of its names, and whether a path holds such an output."""

    command: str
    endings: tuple[str, ...]
    is_own: Callable[[Path], bool]


@dataclass(frozen=True)
class Output:
    """A checked destination of an output, from `check_output`."""

    path: Path
    kind: OutputKind
    overwrite: bool
    option: str = "--out"

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """A temporary path to write a file or folder to; renamed when the block ends without an error.

        Missing parent folders are created. An existing output stays until then; if the block raises, nothing is left.
        Removes the temporary folders of killed processes.

        Raises Conflict if an output that may not be replaced has appeared meanwhile, Failure on a full disk.
        """
        folder = self.path.parent
        made = _make_parents(folder)
        try:
            remove_leftovers(folder)
            with _translate_errors(self.path), temporary_folder(folder) as temporary:
                new = temporary.new / self.path.name
                yield new
                _sync_tree(new)
                self._commit(new, temporary.old / self.path.name)
                sync_path(folder)
        except BaseException:
            for parent in reversed(made):
                with suppress(OSError):  # it may contain something else by now
                    parent.rmdir()
            raise

    def write_bytes(self, content: bytes) -> None:
        """Write a file with this content."""
        with self.writing() as path:
            path.write_bytes(content)

    def _commit(self, new: Path, old: Path) -> None:
        if self.overwrite or new.is_dir():
            _refuse_existing(self)
        if new.is_dir():
            _replace_folder(self.path, new, old)
        elif self.overwrite:
            os.replace(new, self.path)
        else:
            _move_new(new, self)


def check_output(
    out: str | Path,
    kind: OutputKind,
    *,
    overwrite: bool,
    inputs: Sequence[str | Path] = (),
    option: str = "--out",
) -> Output:
    """Check the destination of an output before anything is computed. Nothing is written.

    `inputs` are paths (or URLs) that the command reads. Raises InvalidInput for a name with another ending than those
    of `kind`, a URL, a path that cannot be written to, one of the inputs or a folder that holds one, and a path inside
    a Zarr hierarchy; Conflict for an existing output that may not be replaced.
    """
    path = local_output(out, option)
    if path.suffix.lower() not in kind.endings:
        raise InvalidInput(f"{option} is {out}", allowed=f"a name that ends in {', '.join(kind.endings)}")
    output = Output(path, kind, overwrite, option)
    try:
        _refuse_inputs(output, inputs)
        _refuse_place(path, option)
        _refuse_existing(output)
    except OSError as error:
        raise InvalidInput(
            f"{option} {out} cannot be written: {error.strerror}", hint=f"name another {option}"
        ) from None
    return output


def local_output(out: str | Path, option: str = "--out") -> Path:
    """The path of an output, also of a file:// URL. Raises InvalidInput for any other URL: outputs are local files."""
    name = str(out)
    if name.startswith("file://"):
        return Path(unquote(urlsplit(name).path))
    if URL.match(name):
        raise InvalidInput(
            f"{option} is {name}",
            allowed="a path on this machine; only stores are written to URLs",
            hint="write it here, then copy it there",
        )
    return Path(out)


def check_folder(folder: str | Path, option: str) -> Path:
    """Check the destination of a folder that a command fills with its files. Nothing is written.

    The folder may exist, and may be a symbolic link to one. Raises InvalidInput for a URL, a Zarr hierarchy or a place
    inside of one, a file, a path below a file, and a folder that cannot be written to.
    """
    path = local_output(folder, option)
    try:
        _refuse_place(path / "file", option, path)
    except OSError as error:
        raise InvalidInput(
            f"{option} {folder} cannot be written: {error.strerror}", hint=f"name another {option}"
        ) from None
    return path


def refuse_hierarchy(store: str) -> None:
    """Raise InvalidInput if a new store on this machine would lie inside a Zarr hierarchy."""
    if URL.match(store) and not store.startswith("file://"):
        return
    path = local_output(store)
    found = _hierarchy_of(Path(os.path.realpath(path)).parent)
    if found:
        raise InvalidInput(f"{store} lies inside the Zarr hierarchy {found}", hint="name another --out")


def check_log(log: str | Path, option: str = "--log") -> Path:
    """Check the destination of a log file, to which lines are appended.

    Raises InvalidInput if it cannot be written, Conflict for an existing file that is not a log: not empty, and without
    a date at its start.
    """
    path = local_output(log, option)
    try:
        _refuse_place(path, option)
        if not path.parent.is_dir():
            raise InvalidInput(f"{option} is {log}, and there is no folder {path.parent}", hint="make the folder first")
        if path.exists() and not _is_log(path):
            raise Conflict(f"{option} {log} exists and is not a log", hint=f"name another {option}")
    except OSError as error:
        raise InvalidInput(
            f"{option} {log} cannot be written: {error.strerror}", hint=f"name another {option}"
        ) from None
    return path


def check_sources(store: str, sources: Sequence[str]) -> None:
    """Check that a store does not contain the files that it is made from.

    Raises InvalidInput, since replacing an array of the store would delete its source.
    """
    root = _resolved(store)
    for source in sources:
        if f"{_resolved(source)}/".startswith(f"{root}/"):
            raise InvalidInput(
                f"{source} lies in {store}, the store that is to be written",
                allowed="files outside of the store",
                hint="copy it to a place outside of the store first, or write to another store",
            )


def _resolved(place: str) -> str:
    """A path without symbolic links, or a URL, in comparable form."""
    is_remote = URL.match(place) and not place.startswith("file://")
    return place.rstrip("/") if is_remote else os.path.realpath(local_output(place))


def _is_log(path: Path) -> bool:
    if not path.is_file() or not os.access(path, os.W_OK):
        return False
    with path.open("rb") as file:
        start = file.read(24)
    return not start or re.match(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", start) is not None


# -- checks -----------------------------------------------------------------------------------------------------------


def _refuse_inputs(output: Output, inputs: Sequence[str | Path]) -> None:
    path, option = output.path, output.option
    for given in inputs:
        if URL.match(str(given)) and not str(given).startswith("file://"):
            continue
        source = local_output(given)
        if not source.exists():
            continue  # reported by its reader
        hint = f"name another {option}"
        if path.exists() and path.samefile(source):
            raise InvalidInput(f"{option} {path} is the input {given}", hint=hint)
        if Path(os.path.realpath(path)) in Path(os.path.realpath(source)).parents:
            raise InvalidInput(f"{option} {path} holds the input {given}", hint=hint)


def _refuse_place(path: Path, option: str, given: Path | None = None) -> None:
    """Refuse a path in a Zarr hierarchy, below a file, or in a folder that cannot be written to.

    `given` is the path that messages name, if it is not `path`.
    """
    folder, given, hint = Path(os.path.realpath(path.parent)), given or path, f"name another {option}"
    found = _hierarchy_of(folder)
    if found:
        where = "is" if found == Path(os.path.realpath(given)) else "lies inside"
        raise InvalidInput(f"{option} {given} {where} the Zarr hierarchy {found}", hint=hint)
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        where = "is" if folder == Path(os.path.realpath(given)) else f"lies below {folder}, which is"
        raise InvalidInput(f"{option} {given} {where} not a folder", hint=hint)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InvalidInput(f"{option} is {given}, and {folder} cannot be written to", hint=hint)


def _hierarchy_of(folder: Path) -> Path | None:
    """The innermost Zarr group or array that contains a folder or is it; None without one."""
    parents = (folder, *folder.parents)
    return next((p for p in parents if any((p / name).exists() for name in ZARR_DOCUMENTS)), None)


def _refuse_existing(output: Output) -> None:
    """Refuse an existing output unless it is of the same kind and may be replaced."""
    path, option = output.path, output.option
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not _is_own(output, mode):
        raise Conflict(
            f"{option} {path} is {_what(mode)} that {output.kind.command} did not write",
            allowed=f"a new name, or an output of {output.kind.command}",
            hint=f"name another {option}, or move it away",
        )
    if not output.overwrite:
        raise Conflict(f"{path} already exists", hint=f"--overwrite replaces it, or name another {option}")


def _is_own(output: Output, mode: int) -> bool:
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # such as a named pipe, which would block
        return False
    try:
        return output.kind.is_own(output.path)
    except OSError:
        return False


def _what(mode: int) -> str:
    kinds = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFLNK: "a symbolic link"}
    return kinds.get(stat.S_IFMT(mode), "a special file")


# -- renaming ------------------------------------------------------------------------------------------------------


def _replace_folder(path: Path, new: Path, old: Path) -> None:
    """Replace a folder by another. If interrupted, the old one is moved back."""
    try:
        if os.path.lexists(path):
            os.rename(path, old)
        os.rename(new, path)
    except BaseException:
        if os.path.lexists(old) and not os.path.lexists(path):
            os.rename(old, path)
        raise


def _move_new(new: Path, output: Output) -> None:
    """Move a file to an unused path, safely if two processes try at once."""
    try:
        os.link(new, output.path)
    except FileExistsError:
        problem = f"{output.path} has been written by another process in the meantime"
        raise Conflict(problem, hint=f"name another {output.option}") from None
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        _refuse_existing(output)
        os.replace(new, output.path)


def _make_parents(folder: Path) -> list[Path]:
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()][::-1]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        hint = "free some space, or name another place; nothing was left behind"
        raise Failure(f"{path} cannot be written: {error.strerror}", hint=hint) from error


def _sync_tree(path: Path) -> None:
    for folder, _, files in os.walk(path):
        for name in files:
            sync_path(Path(folder, name))
        sync_path(Path(folder))
    if path.is_file():
        sync_path(path)
