"""Layout `cellpose`: NAME.* with labels NAME_cp_masks.* or NAME_masks.* beside it.

Source: documentation of Cellpose, "Inputs" and "Outputs". Its NAME_seg.npy is a pickle, which can run any code when
it is read, and is never read here.
"""

import re

from unetprep.errors import InvalidInput
from unetprep.params import LayoutParams
from unetprep.sources.folders import Folder, left_out
from unetprep.sources.layouts.data_set import DataSet, Example, Files
from unetprep.sources.naming import IMAGE_ENDING, key_of, match

MASKS = re.compile(r"_(cp_)?masks$")
FLOWS = re.compile(r"_(cp_)?(flows|output|outlines)$")
PICKLE = re.compile(r"_seg\.npy$")
EXPORT = (
    "export the masks as images: in the GUI of Cellpose, File > Save masks as PNG/tif; in Python,"
    " cellpose.io.save_masks"
)


def recognise(folder: Folder) -> str:
    """Why a folder has this layout; "" if it has not."""
    files = folder.images_at()
    found = [file.path for file in files if file.stem.endswith("_cp_masks") or PICKLE.search(file.path)]
    has_images = any(not (MASKS.search(file.stem) or PICKLE.search(file.path)) for file in files)
    return f"files such as {found[0].rpartition('/')[2]}" if found and has_images else ""


def plan(folder: Folder, params: LayoutParams) -> DataSet:
    """An example for each image with masks. Raises InvalidInput where there are only pickles."""
    files = folder.images_at()
    pickles = [file for file in files if PICKLE.search(file.path)]
    flows = [file for file in files if FLOWS.search(file.stem)]
    masks = [file for file in files if MASKS.search(file.stem)]
    images = [file for file in files if file not in {*pickles, *flows, *masks}]
    found = match(images, masks, (key_of(), key_of(IMAGE_ENDING)), (key_of(MASKS),))
    if not found.pairs:
        raise InvalidInput(
            f"{folder.path} holds no image with NAME_cp_masks or NAME_masks"
            + (f"; {pickles[0].path} is a pickle, which is never read" if pickles else ""),
            hint=EXPORT,
        )
    pairs = sorted(found.pairs.items())
    examples = tuple(Example(name, Files((image.path,)), Files((mask.path,))) for name, (image, mask) in pairs)
    kinds = {
        "images without masks": found.images,
        "masks without an image": found.labels,
        "flows and outlines": flows,
        "pickles _seg.npy": pickles,
    }
    kept = tuple(entry for why, some in kinds.items() for entry in left_out(why, [file.path for file in some]))
    return DataSet("cellpose", folder.path, examples, kept)
