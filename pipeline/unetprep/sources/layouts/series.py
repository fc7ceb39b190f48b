"""Files that are the channels or the slices of one image, by the numbers in their names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from unetprep.errors import InvalidInput
from unetprep.params import LayoutParams
from unetprep.sources.layouts.data_set import Files
from unetprep.sources.naming import IMAGE_ENDING, LABEL_ENDING, FileName, name_of

CHANNEL = re.compile(r"(?:^|[-_. ])(?:channel|ch|c)[-_ ]?(\d+)(?=$|[-_. ])", re.IGNORECASE)
SLICE = re.compile(r"(?:^|[-_. ])(?:slice|sl|z)[-_ ]?(\d+)(?=$|[-_. ])", re.IGNORECASE)
LAST_NUMBER = re.compile(r"[-_. ]?(\d+)$")
SHOWN = 5  # missing numbers in a message


def grouped(files: Mapping[FileName, Files], params: LayoutParams, *, is_labels: bool) -> dict[FileName, Files]:
    """Join the files that are channels (of images only) or slices, as the parameters ask; others stay as they are.

    Raises InvalidInput where a number is missing.
    """
    if params.channels_from_names and not is_labels:
        files = joined(files, "c", CHANNEL)
    if params.stack:
        files = joined(files, "z", SLICE)
    return dict(files)


def joined(files: Mapping[FileName, Files], axis: str, word: re.Pattern[str]) -> dict[FileName, Files]:
    """Join files whose names differ in the number behind a word, or in the last number, along an axis in its order."""
    groups: dict[FileName, dict[int, Files]] = {}
    for file, content in files.items():
        stem, number = _numbered(file.stem, word)
        group = replace(file, path="", stem=stem or file.folder.rpartition("/")[2] or "stack")
        if number is None:
            groups[file] = {0: content}
        elif number in groups.setdefault(group, {}):
            raise InvalidInput(
                f"{file.path} has the same name and number {number} as another file", hint="rename one of them"
            )
        else:
            groups[group][number] = content
    found = {}
    for group, by_number in groups.items():
        parts = [by_number[number] for number in sorted(by_number)]
        if group.path:
            found[group] = parts[0]
            continue
        first = _first_path(parts[0])
        _refuse_gaps(first, sorted(by_number))
        found[replace(group, path=first)] = Files(tuple(parts), axis)
    return found


def _first_path(files: Files) -> str:
    part = files.parts[0]
    return part if isinstance(part, str) else _first_path(part) if isinstance(part, Files) else part.path


def _numbered(stem: str, word: re.Pattern[str]) -> tuple[str, int | None]:
    """A stem without its number and without endings such as _mask, and the number; None if it has none."""
    plain = name_of(stem, LABEL_ENDING, IMAGE_ENDING)
    found = word.search(plain) or LAST_NUMBER.search(plain)
    if found is None:
        return stem, None
    return plain[: found.start()] + plain[found.end() :], int(found[1])


def _refuse_gaps(path: str, numbers: Sequence[int]) -> None:
    missing = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers)) if numbers[-1] - numbers[0] < 2**20 else []
    if missing or numbers[-1] - numbers[0] + 1 != len(numbers):
        shown = ", ".join(map(str, missing[:SHOWN])) + (", ..." if len(missing) > SHOWN else "")
        raise InvalidInput(
            f"{path} and the files that belong to it have the numbers {numbers[0]} to {numbers[-1]}, without {shown}",
            allowed="numbers without a gap",
            hint="add the missing files, or import the files as images of their own",
        )
