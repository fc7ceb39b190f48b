"""Layout `pairs`: images and labels of the same names, in two folders or in one."""

from collections.abc import Iterable, Sequence

from unetprep.errors import InvalidInput
from unetprep.params import LayoutParams
from unetprep.sources.folders import BELOW, Folder, Found, LeftOut, find_files, left_out
from unetprep.sources.layouts.data_set import DataSet, Example, Files, OpenFile, Pair
from unetprep.sources.layouts.series import grouped
from unetprep.sources.layouts.split_names import split_of
from unetprep.sources.naming import (
    IMAGE_KEYS,
    LABEL_KEYS,
    FileName,
    Key,
    Matched,
    is_named_as_labels,
    match,
    named,
    pattern_key,
    refuse_alone,
    refuse_same_name,
)
from unetprep.sources.opening import open_source
from unetprep.sources.source import Choices, Source

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "raw", "inputs", "input", "x")
LABEL_FOLDERS = (
    *("labels", "label", "masks", "mask", "instances", "instance", "segmentations", "segmentation", "seg"),
    *("gt", "groundtruth", "ground_truth", "annotations", "targets", "target", "y"),
)

Given = dict[FileName, Files]


def of_inputs(images: Sequence[str | Source], labels: Sequence[str | Source], params: LayoutParams) -> DataSet:
    """Images and labels, given as files, folders or sources; labels may be given alone.

    A single image belongs to a single label image, whatever their names. Raises InvalidInput if one has no partner.
    """
    label_files, left_labels = _given(labels, params, is_labels=True)
    image_files, left_images = _given(images, params, is_labels=False)
    kept = _summed([*left_images, *left_labels])
    if not images:
        alone = named(list(label_files), _keys(params.label_pattern, LABEL_KEYS)[0])
        examples = [Example(name, None, label_files[file], _split(file)) for name, file in alone.items()]
        return DataSet("pairs", "", tuple(examples), kept)
    matched = _matched(image_files, label_files, params)
    below = [entry.count for entry in kept if entry.why == BELOW]
    refuse_alone(matched, f"subfolders hold {below[0]} more images: --recursive takes them" if below else "")
    return DataSet("pairs", "", _examples(matched, image_files, label_files), kept)


def find_pairs(
    images: Sequence[str | Source],
    labels: Sequence[str | Source],
    chosen: Choices | None = None,
    open_file: OpenFile = open_source,
) -> list[Pair]:
    """(name, image, labels) for every label image, opened; the image is None if no images are given."""
    return of_inputs(images, labels, LayoutParams()).open(chosen, open_file)


def recognise(folder: Folder) -> str:
    """Why a folder holds images and labels of the same names; "" if it does not."""
    if found := _two_folders(folder):
        return f"the folders {found[0].name} and {found[1].name}"
    images, labels = _in_one_folder(folder, LayoutParams())
    return f"labels beside the images, such as {labels[0].stem}" if images and labels else ""


def plan(folder: Folder, params: LayoutParams) -> DataSet:
    """The images and labels of a folder. Those without a partner are left out."""
    if found := _two_folders(folder):
        recursive = params.recursive or any(not sub.images and any(map(split_of, sub.folders)) for sub in found)
        taken = [find_files([sub.path], recursive=recursive) for sub in found]
        (images, left_images), (labels, left_labels) = ((list(of.files), of.left_out) for of in taken)
        rest = left_out("in other folders", [name for name in folder.folders if name not in {f.name for f in found}])
        kept = _summed([*left_images, *left_labels, *rest])
    else:
        images, labels = _in_one_folder(folder, params)
        found_here = find_files([folder.path], recursive=params.recursive)
        kept = found_here.left_out
    image_files = grouped({file: Files((file.path,)) for file in images}, params, is_labels=False)
    label_files = grouped({file: Files((file.path,)) for file in labels}, params, is_labels=True)
    matched = _matched(image_files, label_files, params)
    if not matched.pairs:
        refuse_alone(matched)
        raise InvalidInput(
            f"{folder.path} holds no pair of image and labels", hint="name them with --image and --labels"
        )
    alone = [("images without labels", matched.images), ("labels without an image", matched.labels)]
    kept = (*kept, *(entry for why, files in alone for entry in left_out(why, [file.path for file in files])))
    return DataSet("pairs", folder.path, _examples(matched, image_files, label_files), kept)


def _two_folders(folder: Folder) -> tuple[Folder, Folder] | None:
    """The folders of images and of labels, if there is one of each."""
    found = []
    for names in (IMAGE_FOLDERS, LABEL_FOLDERS):
        there = sorted((name for name in folder.folders if name.lower() in names), key=lambda n: names.index(n.lower()))
        found.append(folder.below(there[0]) if there else None)
    return (found[0], found[1]) if found[0] and found[1] else None


def _in_one_folder(folder: Folder, params: LayoutParams) -> tuple[list[FileName], list[FileName]]:
    """The images and the labels of a folder, told apart by their names."""
    if not folder.images and not params.recursive:
        return [], []
    files = find_files([folder.path], recursive=params.recursive).files
    key = pattern_key(params.label_pattern) if params.label_pattern else None
    of_image = pattern_key(params.image_pattern) if params.image_pattern else None
    labels = [
        file
        for file in files
        if (key(file) is not None if key else is_named_as_labels(file.stem) and not (of_image and of_image(file)))
    ]
    return [file for file in files if file not in set(labels)], labels


def _given(inputs: Sequence[str | Source], params: LayoutParams, *, is_labels: bool) -> tuple[Given, Sequence[LeftOut]]:
    """Files by name, of paths, folders and sources, and what is left out."""
    paths = [path for path in inputs if isinstance(path, str)]
    found = find_files(paths, recursive=params.recursive) if paths else Found(())
    sources = [source for source in inputs if isinstance(source, Source)]
    given: Given = {}
    parts: list[tuple[FileName, str | Source]] = [(FileName(s.path, "", s.stem), s) for s in sources]
    for file, part in [*parts, *((file, file.path) for file in found.files)]:
        if file in given:
            refuse_same_name(file, file, file.stem)
        given[file] = Files((part,))
    return grouped(given, params, is_labels=is_labels), found.left_out


def _keys(pattern: str, known: Sequence[Key]) -> Sequence[Key]:
    return (pattern_key(pattern),) if pattern else known


def _matched(images: Given, labels: Given, params: LayoutParams) -> Matched:
    if len(images) == len(labels) == 1:
        (image,), (label,) = images, labels
        return Matched({image.within(image.stem): (image, label)}, (), ())
    keys = _keys(params.image_pattern, IMAGE_KEYS), _keys(params.label_pattern, LABEL_KEYS)
    return match(list(images), list(labels), *keys)


def _examples(matched: Matched, images: Given, labels: Given) -> tuple[Example, ...]:
    order = {file: i for i, file in enumerate(images)}
    pairs = sorted(matched.pairs.items(), key=lambda pair: order[pair[1][0]])
    return tuple(Example(name, images[image], labels[label], _split(image)) for name, (image, label) in pairs)


def _split(file: FileName) -> str:
    return split_of(file.folder.partition("/")[0])


def _summed(entries: Iterable[LeftOut]) -> tuple[LeftOut, ...]:
    """Entries of one reason as one."""
    by_reason: dict[str, LeftOut] = {}
    for entry in entries:
        before = by_reason.get(entry.why)
        count = entry.count + (before.count if before else 0)
        by_reason[entry.why] = LeftOut(entry.why, count, before.example if before else entry.example)
    return tuple(by_reason.values())
