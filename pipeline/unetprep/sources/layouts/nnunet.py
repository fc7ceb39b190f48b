"""Layout `nnunet`: the raw format of nnU-Net, dataset.json with imagesTr/CASE_0000.* and labelsTr/CASE.*.

Its labels are classes. Source: documentation of nnU-Net v2, "dataset_format.md"; v1 differs in dataset.json.
"""

import re
from typing import Any

from unetprep.errors import InvalidInput
from unetprep.params import LayoutParams
from unetprep.params.pixel_size import LARGEST_PIXEL, SMALLEST_PIXEL
from unetprep.sources.folders import Folder, left_out
from unetprep.sources.layouts.data_set import DataSet, Example, Files
from unetprep.sources.outlines.json_files import member, read_json, shown
from unetprep.sources.source import PixelSize

DOCUMENT = "dataset.json"
CHANNEL = re.compile(r"(.+)_(\d{4})")
SPLITS = (("Tr", ""), ("Ts", "test"))  # folders and the split of their images
BACKGROUND, IGNORE = "background", "ignore"


def recognise(folder: Folder) -> str:
    """Why a folder has this layout; "" if it has not."""
    is_there = DOCUMENT in folder.others and "imagesTr" in folder.folders
    return f"{DOCUMENT} and imagesTr" if is_there else ""


def plan(folder: Folder, params: LayoutParams) -> DataSet:
    """An example for each case with labels, all channels of a case as one image."""
    path = f"{folder.path}/{DOCUMENT}"
    document = read_json(path)
    if not isinstance(document, dict):
        raise InvalidInput(f"{path} is {shown(document)}", allowed="the dataset.json of nnU-Net, {...}")
    ending = document.get("file_ending", "")
    channels = _channels(document, path)
    examples: list[Example] = []
    without: list[str] = []
    for part, split in SPLITS:
        found, alone = _cases(folder, part, split, ending if isinstance(ending, str) else "", len(channels))
        examples += found
        without += alone
    if not examples:
        raise InvalidInput(
            f"{folder.path} holds no case with labels", allowed="labelsTr/CASE.* for imagesTr/CASE_0000.*"
        )
    classes, ignored = _classes(document, path)
    kept = left_out("cases without labels", without)
    return DataSet(
        "nnunet", folder.path, tuple(examples), kept, channels, classes, labels_are_classes=True, ignore_label=ignored
    )


def _channels(document: dict[str, Any], path: str) -> tuple[str, ...]:
    """The names of the channels, in order; () if the document has none."""
    names = document.get("channel_names", document.get("modality", {}))
    if not isinstance(names, dict) or sorted(names) != [str(n) for n in sorted(range(len(names)), key=str)]:
        raise InvalidInput(
            f"{path}: the channels are {shown(names)}", allowed='names by number, {"0": "DAPI", "1": ...}'
        )
    return tuple(str(names[str(n)]) for n in range(len(names)))


def _classes(document: dict[str, Any], path: str) -> tuple[dict[str, object], int | None]:
    """The numbers of the classes by name (lists for regions), and the number of the ignored one."""
    labels = document.get("labels", {})
    if not isinstance(labels, dict):
        raise InvalidInput(
            f"{path}: labels is {shown(labels)}", allowed='numbers by name, {"background": 0, "cell": 1}'
        )
    by_name = {name: number for name, number in labels.items() if not isinstance(number, str)}
    by_name |= {name: int(number) for number, name in labels.items() if isinstance(name, str) and number.isdigit()}
    ignored = by_name.pop(IGNORE, None)
    return {name: n for name, n in by_name.items() if n != 0}, ignored if isinstance(ignored, int) else None


def _cases(folder: Folder, part: str, split: str, ending: str, num_channels: int) -> tuple[list[Example], list[str]]:
    """The cases of imagesTr or imagesTs with labels, and the names of those without."""
    images: dict[str, dict[int, str]] = {}
    for file in folder.images_at(f"images{part}"):
        name = _case(file.path, ending)
        found = CHANNEL.fullmatch(name)
        case, number = (found[1], int(found[2])) if found else (name, 0)
        images.setdefault(case, {})[number] = file.path
    labels = {_case(file.path, ending): file.path for file in folder.images_at(f"labels{part}")}
    examples, alone = [], []
    for case, by_number in sorted(images.items()):
        if case not in labels:
            alone.append(case)
            continue
        numbers = sorted(by_number)
        if numbers != list(range(num_channels or len(numbers))):
            raise InvalidInput(
                f"{folder.path}/images{part}/{case} has the channels {', '.join(f'{n:04}' for n in numbers)}",
                allowed=f"{num_channels or len(numbers)} channels from 0000 on, as {DOCUMENT} says",
            )
        parts = tuple(by_number[n] for n in numbers)
        image = Files(parts, "c" if parts[1:] else "", _spacing(folder.below(f"images{part}"), case))
        examples.append(Example(case, image, Files((labels[case],)), split))
    return examples, alone


def _spacing(folder: Folder, case: str) -> PixelSize | None:
    """The pixel size (z, y, x) in CASE.json, which nnU-Net has beside TIFF files."""
    if f"{case}.json" not in folder.others:
        return None
    path = f"{folder.path}/{case}.json"
    sizes = member(read_json(path), "spacing", list, path)
    if len(sizes) != 3 or not all(isinstance(n, int | float) and SMALLEST_PIXEL <= n <= LARGEST_PIXEL for n in sizes):
        raise InvalidInput(f"{path}: spacing is {shown(sizes)}", allowed="three numbers over 0: z, y, x")
    z, y, x = map(float, sizes)
    return z, y, x


def _case(path: str, ending: str) -> str:
    name = path.rpartition("/")[2]
    return name[: -len(ending)] if ending and name.endswith(ending) else name.partition(".")[0]
