"""Recognition of the layout of a folder, by the table `unetprep.params.LAYOUTS`, and its data set."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from unetprep.errors import InvalidInput
from unetprep.params import LAYOUTS, LayoutParams
from unetprep.params.layouts import Layout
from unetprep.sources.folders import Folder, left_out
from unetprep.sources.layouts.data_set import DataSet, merged
from unetprep.sources.layouts.split_names import split_of
from unetprep.sources.urls import is_url, local_path
from unetprep.storage.paths import StrPath

SHOWN = 5  # names in a message


class LayoutModule(Protocol):
    """A module that reads a layout."""

    def recognise(self, folder: Folder) -> str:
        """Why a folder has the layout; "" if it has not."""
        ...

    def plan(self, folder: Folder, params: LayoutParams) -> DataSet:
        """The examples of a folder. Raises InvalidInput if there are none."""
        ...


@dataclass(frozen=True)
class Recognised:
    """A data set, why its folder has its layout, and the other layouts that it has, each with the reason."""

    data_set: DataSet
    reason: str
    others: tuple[tuple[str, str], ...] = ()


def find_data_set(path: StrPath, params: LayoutParams | None = None) -> Recognised:
    """The data set in a local folder, in the layout that the parameters name, or the first that fits.

    If the folder itself has no layout, its folders `train`, `val` and `test` may have one. Raises InvalidInput if none
    fits.
    """
    params = params or LayoutParams()
    folder = Folder(_local_folder(str(path)))
    fitting = [(layout, reason) for layout in _asked(params) if (reason := _module(layout).recognise(folder))]
    if fitting:
        (layout, reason), *others = fitting
        data_set = _module(layout).plan(folder, params)
        return Recognised(data_set, reason, tuple((other.name, why) for other, why in others))
    for layout in _asked(params):
        if found := _of_splits(folder, layout, params):
            return found
    if params.layout == "pairs" or params.image_pattern or params.label_pattern or params.recursive:
        return Recognised(_module(LAYOUTS[-1]).plan(folder, params), "as asked")
    raise _no_layout(folder, params)


def _local_folder(path: str) -> str:
    path = local_path(path)
    if is_url(path) or not Path(path).is_dir():
        raise InvalidInput(
            f"{path} is no folder of this machine",
            allowed="the folder of a data set",
            hint="name files, and folders at URLs, with --image and --labels",
        )
    return path


def _asked(params: LayoutParams) -> Iterator[Layout]:
    """The layouts that may be meant, in order of preference."""
    has_names = params.image_pattern or params.label_pattern or params.channels_from_names or params.stack
    name = "pairs" if params.layout == "auto" and has_names else params.layout
    return (layout for layout in LAYOUTS if name in ("auto", layout.name))


def _module(layout: Layout) -> LayoutModule:
    return cast(LayoutModule, import_module(f"unetprep.sources.layouts.{layout.module}"))


def _of_splits(folder: Folder, layout: Layout, params: LayoutParams) -> Recognised | None:
    """The data set of the subfolders that are named as splits and have a layout; None if none has it."""
    subs = [(name, folder.below(name)) for name in folder.folders if split_of(name)]
    fitting = {name: reason for name, sub in subs if (reason := _module(layout).recognise(sub))}
    if not fitting:
        return None
    parts = [(name, split_of(name), _module(layout).plan(sub, params)) for name, sub in subs if name in fitting]
    data_set = merged(layout.name, folder.path, parts)
    others = left_out("folders of another layout", [name for name in folder.folders if name not in fitting])
    reason = next(iter(fitting.values()))
    names = ", ".join(f"{name}/" for name in fitting)
    return Recognised(replace(data_set, left_out=(*data_set.left_out, *others)), f"in each of {names}: {reason}")


def _no_layout(folder: Folder, params: LayoutParams) -> InvalidInput:
    seen = [*(f"{name}/" for name in folder.folders[:SHOWN]), *folder.images[:SHOWN], *folder.others[:SHOWN]]
    counts = f"{len(folder.folders)} folders, {len(folder.images)} images and {len(folder.others)} other files"
    asked = "none of the known layouts" if params.layout == "auto" else f"not the layout {params.layout}"
    return InvalidInput(
        f"{folder.path} has {asked}; it holds {counts}" + (f": {', '.join(seen)}" if seen else ""),
        allowed="".join(f"\n    {layout.name:<10}{layout.looks}" for layout in _asked(params)),
        hint=_next_step(folder, params),
    )


def _next_step(folder: Folder, params: LayoutParams) -> str:
    """A subfolder that has a layout, or how to name the files."""
    for sub in map(folder.below, folder.folders):
        if any(_module(layout).recognise(sub) for layout in _asked(params)):
            return f"a data set is in {sub.path}: {shlex.join(['unetprep', 'scan', sub.path])}"
    return "name images and labels with --image and --labels, or say how they are named with --label-pattern"
