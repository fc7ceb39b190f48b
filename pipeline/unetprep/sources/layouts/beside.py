"""Annotation files beside their images: which file belongs to which image."""

from collections.abc import Callable, Sequence

from unetprep.errors import InvalidInput
from unetprep.sources.folders import Folder, left_out
from unetprep.sources.layouts.data_set import DataSet, Example, Files
from unetprep.sources.naming import FileName, Matched, key_of, match
from unetprep.sources.outlines.drawn import Drawn
from unetprep.sources.source import stem_of


def plan_beside(
    folder: Folder, layout: str, files: Sequence[str], stem: Callable[[str], str] = stem_of, kind: str = "annotations"
) -> DataSet:
    """An example for each image with an annotation file of its name in the same folder, or in `annotations/` and alike.

    A single image belongs to a single annotation file, whatever their names.
    """
    images, annotations = images_near(folder), [FileName(path, "", stem(path)) for path in files]
    if len(images) == len(annotations) == 1:
        found = Matched({images[0].stem: (images[0], annotations[0])}, (), ())
    else:
        found = match(images, annotations, (key_of(),), (key_of(),))
    if not found.pairs:
        raise InvalidInput(
            f"{folder.path} holds {len(annotations)} files of {kind}, such as {annotations[0].path}, and no image of"
            " such a name",
            allowed=f"an image beside each file of {kind}, of the same name",
            hint="copy the images there",
        )
    examples = [
        Example(name, Files((image.path,)), Drawn(layout, of.path)) for name, (image, of) in sorted(found.pairs.items())
    ]
    kept = (
        *left_out(f"images without {kind}", [file.path for file in found.images]),
        *left_out(f"{kind} without an image", [file.path for file in found.labels]),
    )
    return DataSet(layout, folder.path, tuple(examples), kept)


IMAGE_FOLDERS = ("images", "image", "imgs", "img")


def images_near(folder: Folder) -> list[FileName]:
    """The images of a folder, or if it has none, of its subfolder `images`."""
    here = folder.images_at()
    inside = next((name for name in folder.folders if name.lower() in IMAGE_FOLDERS), None)
    return here or (folder.images_at(inside) if inside else [])


def files_near(folder: Folder, subfolders: Sequence[str], *endings: str) -> list[str]:
    """Paths of files with these endings in a folder, or if it has none, in the first of the subfolders that has."""
    for sub in (folder, *(folder.below(name) for name in folder.folders if name.lower() in subfolders)):
        if names := sub.ending(*endings):
            return [f"{sub.path.rstrip('/')}/{name}" for name in names]
    return []
