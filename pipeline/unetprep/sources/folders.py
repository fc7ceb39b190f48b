"""Image files in folders, and what else is there: the files that an import takes, and those that it leaves out."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from unetprep.errors import InvalidInput
from unetprep.sources.formats.table import ENDINGS, NAMES, ending_of
from unetprep.sources.naming import FileName
from unetprep.sources.urls import is_url, local_path, names_in, reachable

CONTAINER_FILES = {"zarr.json", ".zarray", ".zgroup", "attributes.json"}  # of Zarr and N5
BELOW = "in subfolders (--recursive)"  # why images are left out


@dataclass(frozen=True)
class LeftOut:
    """Files that are not taken: why, how many, and one of them."""

    why: str
    count: int
    example: str

    def __str__(self) -> str:
        return f"{self.count} {self.why} ({self.example})" if self.example else f"{self.count} {self.why}"


def left_out(why: str, names: Sequence[str]) -> tuple[LeftOut, ...]:
    """An entry for names that are left out; none if there are none."""
    return (LeftOut(why, len(names), os.path.basename(names[0].rstrip("/"))),) if names else ()


@dataclass(frozen=True)
class Found:
    """Image files, and what is left out."""

    files: tuple[FileName, ...]
    left_out: tuple[LeftOut, ...] = ()


def expand(paths: Sequence[str]) -> list[str]:
    """The image files at paths: files and Zarrs themselves, and the images in folders, sorted by name."""
    return [file.path for file in find_files(paths).files]


def find_files(paths: Sequence[str], *, recursive: bool = False) -> Found:
    """The image files at paths: files and Zarrs themselves, and the images in folders, sorted by name.

    `recursive` also takes those in subfolders. Raises InvalidInput for a folder without images.
    """
    files: list[FileName] = []
    others: Counter[str] = Counter()
    below = 0
    for path in map(local_path, paths):
        names = _names(path)
        if not names or CONTAINER_FILES & set(names):
            files.append(FileName.of(path))
            continue
        before = len(files)
        if is_url(path):
            files += [FileName.of(f"{path}/{name}") for name in sorted(filter(_is_image, names))]
        else:
            folder = Folder(path)
            for sub in [folder, *folder.all_below()] if recursive else [folder]:
                files += [FileName.of(os.path.join(sub.path, name), sub.relative) for name in sub.images]
                others.update(ending_of(name) or "without an ending" for name in sub.others)
            below += 0 if recursive else sum(len(folder.below(name).images) for name in folder.folders)
        if len(files) == before:
            hint = "add --recursive: its subfolders hold images" if below else ""
            raise InvalidInput(f"{path} is a folder without images", allowed=NAMES, hint=hint)
    skipped = [LeftOut(BELOW, below, "")] if below else []
    skipped += [LeftOut(ending, count, "") for ending, count in sorted(others.items())]
    return Found(tuple(files), tuple(skipped))


def _names(path: str) -> list[str]:
    """Names in a folder; [] if `path` is not a folder."""
    if not is_url(path):
        return os.listdir(path) or ["."] if Path(path).is_dir() else []
    if ending_of(path) in ENDINGS:
        return []
    with reachable(path):
        return names_in(path)


def _is_image(name: str) -> bool:
    return name[0] != "." and ending_of(name) in ENDINGS


@dataclass(frozen=True)
class Folder:
    """A local folder: images (files, and Zarrs named so), others and subfolders, sorted; hidden ones are left out."""

    path: str
    relative: str = ""

    @cached_property
    def _entries(self) -> tuple[list[str], list[str], list[str]]:
        images: list[str] = []
        others: list[str] = []
        folders: list[str] = []
        with os.scandir(self.path) as found:
            for entry in found:
                if entry.name[0] == ".":
                    continue
                if _is_image(entry.name):
                    images.append(entry.name)
                elif entry.is_dir():
                    (others if self._is_zarr(entry.name) else folders).append(entry.name)
                else:
                    others.append(entry.name)
        return sorted(images), sorted(others), sorted(folders)

    def _is_zarr(self, name: str) -> bool:
        return any(os.path.exists(os.path.join(self.path, name, file)) for file in CONTAINER_FILES)

    @property
    def images(self) -> list[str]:
        """Names of image files and Zarrs."""
        return self._entries[0]

    @property
    def others(self) -> list[str]:
        """Names of other files."""
        return self._entries[1]

    @property
    def folders(self) -> list[str]:
        """Names of subfolders."""
        return self._entries[2]

    @property
    def name(self) -> str:
        """Its own name."""
        return os.path.basename(os.path.abspath(self.path))

    def below(self, name: str) -> "Folder":
        """A subfolder."""
        return Folder(os.path.join(self.path, name), f"{self.relative}/{name}".lstrip("/"))

    def all_below(self) -> Iterator["Folder"]:
        """All folders below, parents before children. Links to folders are not followed."""
        for name in self.folders:
            if not os.path.islink(os.path.join(self.path, name)):
                sub = self.below(name)
                yield sub
                yield from sub.all_below()

    def images_at(self, *names: str) -> list[FileName]:
        """Its images, or those of a subfolder."""
        folder = self
        for name in names:
            folder = folder.below(name)
        return [FileName.of(os.path.join(folder.path, name)) for name in folder.images] if folder.exists else []

    @property
    def exists(self) -> bool:
        """Whether it is a folder that can be listed."""
        return os.path.isdir(self.path)

    def ending(self, *endings: str) -> list[str]:
        """Names of other files with one of these endings."""
        return [name for name in self.others if name.lower().endswith(endings)]
