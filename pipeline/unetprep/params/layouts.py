"""Layouts of data sets, and the parameters that say how the files of one belong together.

`LAYOUTS` is the table of the layouts, in order of preference where several fit: a layout is a line here, and a module
of `unetprep.sources.layouts` with two functions. `recognise(folder)` says why a folder has the layout, or "" if it has
not. `plan(folder, params)` lists its examples.
"""

from dataclasses import dataclass

from unetprep.parameter import Params, parameter

PATTERN = (r"[^{}]*\{name\}[^{}]*", "a file name with {name} once, such as '{name}_mask'; * stands for any characters")


@dataclass(frozen=True)
class Layout:
    """A layout: its name, what it looks like, and the module that reads it."""

    name: str
    looks: str
    module: str


LAYOUTS = (
    Layout("nnunet", "dataset.json, imagesTr/NAME_0000.tif, labelsTr/NAME.tif", "nnunet"),
    Layout("ctc", "01/t000.tif, 01_GT/SEG/man_seg000.tif", "ctc"),
    Layout("dsb2018", "NAME/images/NAME.png, NAME/masks/ with a file for each object", "dsb2018"),
    Layout("coco", "a JSON file with images, annotations and categories", "coco"),
    Layout("labelme", "NAME.json beside each image", "labelme"),
    Layout("qupath", "NAME.geojson beside each image", "qupath"),
    Layout("imagej", "NAME.zip or NAME.roi beside each image", "imagej"),
    Layout("cellpose", "NAME.tif, NAME_cp_masks.tif or NAME_masks.tif", "cellpose"),
    Layout("pairs", "folders such as images/ and masks/, or one folder with NAME.tif and NAME_mask.tif", "pairs"),
)


@dataclass(frozen=True)
class LayoutParams(Params):
    """How the files of a data set belong together."""

    layout: str = parameter(
        "auto", "Layout of --data. auto: the first that fits.", choices=("auto", *(known.name for known in LAYOUTS))
    )
    recursive: bool = parameter(False, "Also take images in subfolders; the names begin with those of the subfolders.")
    image_pattern: str = parameter(
        "",
        "Names of the image files, such as '{name}_raw' or '{name}_c0.tif'.  [default: known prefixes and endings]",
        form=PATTERN,
    )
    label_pattern: str = parameter(
        "",
        "Names of the label files, such as '{name}_cp_masks' or 'seg_{name}'.  [default: known prefixes and endings]",
        form=PATTERN,
    )
    channels_from_names: bool = parameter(False, "Join files such as x_0000, x_0001 or x_c1, x_c2 as channels.")
    stack: bool = parameter(False, "Join files such as x_z001, x_z002 as the slices of one stack.")
    silver: bool = parameter(False, "Cell Tracking Challenge: labels of 01_ST (silver truth) instead of 01_GT (gold).")
