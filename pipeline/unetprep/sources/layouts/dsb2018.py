"""Layout `dsb2018`: NAME/images/NAME.png and NAME/masks/*.png, a mask for each object.

Source: 2018 Data Science Bowl, BBBC038 (Caicedo et al. 2019), stage1_train.
"""

from unetprep.params import LayoutParams
from unetprep.sources.folders import Folder, left_out
from unetprep.sources.layouts.data_set import DataSet, Example, Files
from unetprep.sources.outlines.object_files import ObjectFolder

IMAGES, MASKS = "images", "masks"


def recognise(folder: Folder) -> str:
    """Why a folder has this layout; "" if it has not."""
    found = next((name for name in folder.folders if _is_example(folder.below(name))), "")
    return f"{found}/images and {found}/masks" if found else ""


def plan(folder: Folder, params: LayoutParams) -> DataSet:
    """An example for each folder with an image and masks."""
    examples, without_masks, others = [], [], []
    for name in folder.folders:
        images = folder.below(name).images_at(IMAGES)
        if len(images) != 1:
            others.append(name)
        elif not folder.below(name).below(MASKS).exists:
            without_masks.append(name)
        else:
            masks = folder.below(name).below(MASKS)
            examples.append(Example(name, Files((images[0].path,)), ObjectFolder(masks.path)))
    kept = (*left_out("folders without masks", without_masks), *left_out("folders without one image", others))
    return DataSet("dsb2018", folder.path, tuple(examples), kept)


def _is_example(folder: Folder) -> bool:
    """Whether a folder is one example, rather than a data set of images and masks."""
    images, masks = folder.images_at(IMAGES), folder.images_at(MASKS)
    return len(images) == 1 and len(masks) > 0 and (images[0].stem == folder.name or len(masks) > 1)
