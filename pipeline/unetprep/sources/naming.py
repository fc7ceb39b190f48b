"""Names of images and labels: known prefixes and endings of file names, patterns, and the pairing of both by name."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product

from unetprep.errors import InvalidInput
from unetprep.sources.formats.table import ENDINGS, ending_of
from unetprep.sources.source import stem_of

LABEL_ENDING = re.compile(r"[-_. ](masks?|labels?|lbl|instances?|segmentation|seg|gt)$", re.IGNORECASE)
IMAGE_ENDING = re.compile(r"[-_. ](images?|img|raw)$", re.IGNORECASE)

# What is left where these are not enough: endings of several words, channel 0, and words that begin a name.
MORE_LABELS = re.compile(
    r"^(man_seg|masks?|labels?|lbl|instances?|segmentation|seg|gt|annotations?|targets?)([-_. ]+|(?=\d))"
    r"|[-_. ]((cp|cellpose|instance|nuclei|cell)[-_]masks?|annotations?|targets?|ground_?truth|manual|inst)$"
    rf"|{LABEL_ENDING.pattern}",
    re.IGNORECASE,
)
MORE_IMAGES = re.compile(
    rf"^(images?|img|im|raw|t(?=\d))([-_. ]+|(?=\d))|[-_. ](0000|(c|ch)0+)$|{IMAGE_ENDING.pattern}", re.IGNORECASE
)
KNOWN_NAMES = (
    "x with x_mask, x_masks, x_label(s), x_seg, x_gt, x_instance(s) or x_cp_masks; mask_x, label_x or man_seg000"
    " with x, image_x, x_image, x_raw, x_0000 or t000"
)
NAME = "{name}"  # in a pattern
NUM_NEAREST = 3
NAME_THEM = f"say how they are named: --image-pattern '{NAME}_img' --label-pattern '{NAME}_lab'"


@dataclass(frozen=True)
class FileName:
    """The path of a file, its subfolder below the folder that was given ("" for none), and its name in pairing."""

    path: str
    folder: str = ""
    stem: str = ""

    @classmethod
    def of(cls, path: str, folder: str = "") -> "FileName":
        """A file, named by its stem."""
        return cls(path, folder, stem_of(path))

    def within(self, name: str) -> str:
        """A name with those of the subfolders before it."""
        return f"{self.folder}/{name}".replace("/", "-") if self.folder else name


Key = Callable[[FileName], str | None]  # the name of an image; None for a file that a pattern leaves out


def name_of(stem: str, *endings: re.Pattern[str]) -> str:
    """The name of the image to which a file of this stem belongs: the stem without such prefixes and endings."""
    for ending in endings:
        stem = ending.sub("", stem) or stem
    return stem


def is_named_as_labels(stem: str) -> bool:
    """Whether a name has a prefix or an ending of labels."""
    return name_of(stem, MORE_LABELS) != stem or MORE_LABELS.match(f"{stem}_") is not None


def key_of(*endings: re.Pattern[str]) -> Key:
    """The names of files without such prefixes and endings."""
    return lambda file: file.within(name_of(file.stem, *endings))


def pattern_key(pattern: str) -> Key:
    """What stands for `{name}` in the names of files that match a pattern, with or without ending and subfolder."""
    before, after = (re.escape(part).replace(r"\*", ".*") for part in pattern.split(NAME))
    form = re.compile(f"{before}(?P<name>.+?){after}", re.DOTALL)
    has_ending, has_folder = ending_of(pattern) in ENDINGS, "/" in pattern

    def key(file: FileName) -> str | None:
        name = os.path.basename(file.path) if has_ending else file.stem
        found = form.fullmatch(f"{file.folder}/{name}" if has_folder and file.folder else name)
        if found is None:
            return None
        return found["name"].replace("/", "-") if has_folder else file.within(found["name"])

    return key


IMAGE_KEYS: tuple[Key, ...] = (key_of(IMAGE_ENDING), key_of(MORE_IMAGES))
LABEL_KEYS: tuple[Key, ...] = (key_of(LABEL_ENDING), key_of(MORE_LABELS))


@dataclass(frozen=True)
class Matched:
    """Pairs of image and labels by name, and the files without a partner."""

    pairs: Mapping[str, tuple[FileName, FileName]]
    images: Sequence[FileName]
    labels: Sequence[FileName]


def match(
    images: Sequence[FileName], labels: Sequence[FileName], image_keys: Sequence[Key], label_keys: Sequence[Key]
) -> Matched:
    """Pair images and labels by every pair of keys in turn; the first that fits two files names them.

    Raises InvalidInput for two files of one name.
    """
    pairs: dict[str, tuple[FileName, FileName]] = {}
    for number, (image_key, label_key) in enumerate(product(image_keys, label_keys)):
        by_image, by_label = named(images, image_key, not number), named(labels, label_key, not number)
        found = {name: (file, by_label[name]) for name, file in by_image.items() if name in by_label}
        for name in found.keys() & pairs.keys():
            refuse_same_name(pairs[name][0], found[name][0], name)
        pairs |= found
        taken = {file for pair in found.values() for file in pair}
        images, labels = ([file for file in files if file not in taken] for files in (images, labels))
        if not images or not labels:
            break
    return Matched(pairs, images, labels)


def named(files: Sequence[FileName], key: Key, is_strict: bool = True) -> dict[str, FileName]:
    """Files by name. Two of one name are left out, or if `is_strict` refused with InvalidInput."""
    by_name: dict[str, FileName] = {}
    twice = set()
    for file in files:
        name = key(file)
        if name is None:
            continue
        if name in by_name and is_strict:
            refuse_same_name(by_name[name], file, name)
        if name in by_name:
            twice.add(name)
        by_name[name] = file
    return {name: file for name, file in by_name.items() if name not in twice} if twice else by_name


def refuse_same_name(first: FileName, second: FileName, name: str) -> None:
    """Raise InvalidInput for two files of one name."""
    raise InvalidInput(f"{first.path} and {second.path} have the same name {name!r}", hint="rename one of them")


def refuse_alone(found: Matched, hint: str = "") -> None:
    """Raise InvalidInput for a file without a partner, with the nearest names, and a pattern that would fit.

    `hint` is what to do if there is no such pattern.
    """
    paired = [file for pair in found.pairs.values() for file in pair]
    for alone, others, kind in ((found.images, found.labels, "labels"), (found.labels, found.images, "image")):
        if alone:
            raise InvalidInput(
                f"{alone[0].path} has no {kind} of its name"
                + (f", nor have {len(alone) - 1} more" if alone[1:] else "")
                + _nearest(alone[0], others or paired),
                allowed=f"one label image for each image: {KNOWN_NAMES}",
                hint=_suggestion(alone[0], others, kind) or hint or NAME_THEM,
            )


def _nearest(file: FileName, others: Sequence[FileName]) -> str:
    """The names nearest to that of a file, as the end of a sentence."""
    stems = dict.fromkeys(other.stem for other in others if other != file)  # an image and its labels share one
    near = get_close_matches(file.stem, stems, NUM_NEAREST, 0.3)
    return f"; the nearest names are {', '.join(near)}" if near else ""


def _suggestion(file: FileName, others: Sequence[FileName], kind: str) -> str:
    """An option by which a file would have a partner among others; "" if there is none."""
    for other in others:
        before, found, after = other.stem.partition(file.stem)
        if found and before + after:
            side = "label" if kind == "labels" else "image"
            return f"add --{side}-pattern '{before}{NAME}{after}'"
    return ""
