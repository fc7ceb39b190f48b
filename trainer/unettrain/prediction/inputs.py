"""The images of a prediction: files, folders, patterns, stores and URLs, and the names of their outputs."""

import glob
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unetprep.errors import InvalidInput
from unetprep.sources.folders import find_files
from unetprep.sources.formats.table import FILE_ENDINGS, ending_of, split_name
from unetprep.sources.source import stem_of
from unetprep.sources.urls import is_url, local_path
from unettrain.data.stacked_images import split_path
from unettrain.data.store import image_records, recorded

SHOWN = 5


@dataclass(frozen=True)
class Image:
    """An image: its path or URL, and the name of its output in a folder."""

    path: str
    name: str


@dataclass(frozen=True)
class Images:
    """Images, and whether they were named one by one; otherwise --out is a folder, even for a single one."""

    found: tuple[Image, ...]
    is_one: bool


def find_images(paths: Sequence[str], split: str = "", out: str = "") -> Images:
    """The images at paths: files, images of a store, and those in folders, stores and patterns such as "*.tif".

    `split` selects among the images of stores. Raises InvalidInput for a pattern that matches nothing, a folder and a
    store without images, two images of one name, and the folder `out` among the folders, whose outputs would be images
    the next time.
    """
    found: list[Image] = []
    is_one = len(paths) == 1
    for path in map(local_path, paths):
        images, is_plain = _at(path, split, out)
        found += images
        is_one = is_one and is_plain
    if not found:
        raise InvalidInput("no image is named", allowed="files, folders, stores or patterns")
    if not is_one:
        _refuse_same_names(found)
    return Images(tuple(found), is_one)


def _at(path: str, split: str, out: str) -> tuple[list[Image], bool]:
    """The images at a path, and whether it is a single image."""
    if not is_url(path) and glob.has_magic(path) and not os.path.exists(path):
        matches = sorted(glob.glob(path, recursive=True))
        if not matches:
            raise InvalidInput(f"no file matches {path}", allowed="a pattern that matches an image")
        return [image for match in matches for image in _at(match, split, out)[0]], False
    if not is_in_store(path) and _is_store(path):
        return _of_store(path, split), False
    if split:
        raise InvalidInput(f"split is {split!r}, and {path} is no store", allowed="a store of unetprep with split")
    files = [file.path for file in find_files([path]).files]
    if out and files != [path] and not is_url(path) and os.path.realpath(path) == os.path.realpath(local_path(out)):
        raise InvalidInput(
            f"--out is {out}, the folder of the images",
            allowed="another folder",
            hint="to write beside the images, name them by their ending, such as FOLDER/*.png",
        )
    return [Image(file, _name(file)) for file in files], files == [path]


def is_in_store(path: str) -> bool:
    """Whether a path is STORE/images/NAME of a store."""
    named = split_path(path)
    return named is not None and ending_of(path) not in FILE_ENDINGS and "format_version" in recorded(named[0], "")


def _is_store(path: str) -> bool:
    is_folder = is_url(path) or Path(path).is_dir()
    return is_folder and not _is_file_name(path) and "format_version" in recorded(path, "")


def _is_file_name(path: str) -> bool:
    """Whether a URL is that of a file, which is not looked into."""
    return is_url(path) and not path.endswith(".zarr") and "." in path.rpartition("/")[2]


def _of_store(store: str, split: str) -> list[Image]:
    records = image_records(store)
    names = [name for name, record in records.items() if not split or record.get("split") == split]
    if not names:
        splits = sorted({str(record.get("split")) for record in records.values()})
        allowed = f"a split with images: {', '.join(splits)}" if splits else "a store with images"
        raise InvalidInput(f"{store} has no images" + f" of split {split!r}" * bool(split), allowed=allowed)
    return [Image(f"{store.rstrip('/')}/images/{name}", name) for name in names]


def _name(path: str) -> str:
    """The name of a file without its ending; of an image in a file, FILE:/NAME, both."""
    file, inner = split_name(path)
    return "-".join(part for part in (stem_of(file), inner.replace("/", "-")) if part)


def _refuse_same_names(images: Sequence[Image]) -> None:
    by_name = defaultdict(list)
    for image in images:
        by_name[image.name.casefold()].append(image.path)  # file systems may not distinguish case
    twice = [" and ".join(paths) for paths in by_name.values() if len(paths) > 1]
    if twice:
        more = f"; and {len(twice) - SHOWN} more" if len(twice) > SHOWN else ""
        raise InvalidInput(
            f"these images would have one output: {'; '.join(twice[:SHOWN])}{more}",
            allowed="images of different names",
            hint="predict them in two commands, into two folders",
        )
