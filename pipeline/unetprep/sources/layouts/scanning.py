"""Scan of a folder: the layout of its data set, a summary, and the command that imports it."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain

from unetprep.errors import InvalidInput
from unetprep.parameter import Params, option_name
from unetprep.params import FileParams, LayoutParams
from unetprep.sources.layouts.data_set import DataSet, Pair, refuse_mixed_channels
from unetprep.sources.layouts.summary import DataSummary, summarize
from unetprep.sources.layouts.table import Recognised, find_data_set
from unetprep.storage.paths import StrPath

FEWEST_TO_SPLIT = 5
OF_VOLUMES = ("ctc", "nnunet")  # layouts in which slices of a file are those of one volume
FRACTIONS = ("--val-fraction", "0.1", "--test-fraction", "0.2")


@dataclass(frozen=True)
class Scanned:
    """What a `folder` holds (`summary`), and the `command` that imports it.

    `reason` says why it has the `layout`; `others` are further layouts that it has, each with its reason.
    """

    folder: str
    layout: str
    reason: str
    others: tuple[tuple[str, str], ...]
    summary: DataSummary
    command: str

    def __str__(self) -> str:
        """The scan as text."""
        lines = [f"{self.folder}: layout {self.layout} ({self.reason})"]
        lines += [f"  also {name} ({reason}); to take it: --layout {name}" for name, reason in self.others]
        return "\n".join([*lines, *(f"  {line}" for line in self.summary.lines()), f"next: {self.command}"])


def scan(folder: StrPath, params: LayoutParams | None = None, files: FileParams | None = None) -> Scanned:
    """Recognise the layout of a data set in a folder, and open its images; nothing is written.

    Raises InvalidInput if no layout fits, or if a file cannot be used.

        print(unetprep.scan("data/"))
    """
    params = params or LayoutParams()
    found = find_data_set(folder, params)
    pairs = found.data_set.open(files)
    summary = summarize(found.data_set, pairs)
    summary = replace(summary, notes=(*summary.notes, *_advice(found.data_set, pairs, summary)))
    return Scanned(
        str(folder),
        found.data_set.layout,
        found.reason,
        found.others,
        summary,
        shlex.join(_command(str(folder), found, [params, files or FileParams()], summary)),
    )


def _advice(data_set: DataSet, pairs: Sequence[Pair], summary: DataSummary) -> list[str]:
    """What to know before the import."""
    advice = []
    try:
        refuse_mixed_channels(pairs)
    except InvalidInput as error:
        advice.append(f"the import will be refused: {error.problem}; {error.hint}")
    if data_set.layout not in OF_VOLUMES and any(kind.shape[1] > 1 for kind in summary.kinds):
        advice.append("stacks: add --dims 3 if each is one volume; otherwise their slices are independent images")
    return advice


def _command(folder: str, found: Recognised, params: Sequence[Params], summary: DataSummary) -> list[str]:
    data_set = found.data_set
    given = [_option(f.name, getattr(p, f.name)) for p in params for f in fields(p) if getattr(p, f.name) != f.default]
    words = ["unetprep", "import", "--data", folder, "--layout", data_set.layout]
    words += chain.from_iterable(option for option in given if option[0] != "--layout")
    words += _label_options(data_set)
    has_slices = any(kind.shape[1] > 1 for kind in summary.kinds)
    words += ["--dims", "3"] if data_set.layout in OF_VOLUMES and has_slices else []
    words += FRACTIONS if not summary.splits and summary.num_images >= FEWEST_TO_SPLIT else ()
    return [*words, "--out", f"{folder.rstrip('/').rpartition('/')[2].strip('.') or 'data'}.zarr"]


def _option(name: str, value: object) -> list[str]:
    option = f"--{option_name(name)}"
    return [option] if value is True else [option, str(value)]


def _label_options(data_set: DataSet) -> list[str]:
    ignored = ["--ignore-label", str(data_set.ignore_label)] if data_set.ignore_label is not None else []
    several = data_set.largest_class > 1
    kept = ["--num-classes", str(1 + data_set.largest_class)] if several else ["--instances", "components"]
    return [*(kept if data_set.labels_are_classes else []), *ignored]
