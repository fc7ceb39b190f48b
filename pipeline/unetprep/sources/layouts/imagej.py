"""Layout `imagej`: regions of ImageJ for each image, NAME.zip (RoiSet) or NAME.roi.

Rectangles, ovals, polygons, freehand and traced regions, and composite ones, are objects, in the order of the archive.
Coordinates are pixels from the corner of the first. Read by roifile. Source: ImageJ, `ij/io/RoiDecoder.java`.
"""

import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from unetprep.errors import InvalidInput
from unetprep.params import LayoutParams
from unetprep.sources.folders import Folder
from unetprep.sources.formats.table import EXTRA
from unetprep.sources.layouts.beside import files_near, plan_beside
from unetprep.sources.layouts.data_set import DataSet
from unetprep.sources.outlines.objects import OfOneImage, Outline, Outlines
from unetprep.sources.outlines.shapes import Ellipse, Polygon, Shape, polygon_of
from unetprep.sources.source import DAMAGED, DAMAGED_ZIP, stem_of
from unetprep.storage.regular_files import open_regular, read_regular

if TYPE_CHECKING:
    from roifile import ImagejRoi

SUBFOLDERS = ("rois", "roi", "roisets", "labels", "annotations")
WORDS = re.compile(r"^roi_?sets?[-_. ]|[-_. ]?roi_?sets?$|[-_. ]rois?$", re.IGNORECASE)  # in the names of archives
MAX_MEMBERS = 2**20
MAX_MEMBER_BYTES = 2**26
MAX_BYTES = 2**31  # of all members


def recognise(folder: Folder) -> str:
    """Why a folder has this layout; "" if it has not."""
    found = files_near(folder, SUBFOLDERS, ".zip", ".roi")
    return f"files such as {found[0].rpartition('/')[2]}" if found and _is_roi(found[0]) else ""


def _is_roi(path: str) -> bool:
    if path.lower().endswith(".roi"):
        return True
    with open_regular(path) as file:
        return zipfile.is_zipfile(file) and any(name.endswith(".roi") for name in zipfile.ZipFile(file).namelist())


def plan(folder: Folder, params: LayoutParams) -> DataSet:
    """An example for each image with regions."""
    files = files_near(folder, SUBFOLDERS, ".zip", ".roi")
    return plan_beside(folder, "imagej", files, lambda path: WORDS.sub("", stem_of(path)) or stem_of(path), "regions")


def read_annotations(path: str) -> OfOneImage:
    """Read an archive of regions, or one region. Raises InvalidInput, naming the region, if it is damaged."""
    try:
        from roifile import ImagejRoi
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"{path} holds regions of ImageJ, and the package roifile that reads them is not installed ({error})",
            hint=f"run: {EXTRA}",
        ) from None

    objects, others = [], Counter[str]()
    for name, data in _members(path):
        try:
            region = ImagejRoi.frombytes(data)
            shapes = _shapes(region)
        except DAMAGED as error:
            raise InvalidInput(
                f"{path}: region {name} cannot be read: {error}", hint="save the regions again"
            ) from None
        if isinstance(shapes, str):
            raise InvalidInput(f"{path}: region {name}: {shapes}")
        if shapes:
            group = f"group {region.group}" if region.group else ""
            objects.append(Outline(f"region {name}", shapes, group, _slice(region)))
        else:
            others[region.roitype.name.lower()] += 1
    return OfOneImage(Outlines(tuple(objects), None, others))


def _members(path: str) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the regions in an archive, or of one region, of bounded size."""
    if path.lower().endswith(".roi"):
        yield stem_of(path), read_regular(path, MAX_MEMBER_BYTES)
        return
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if member.filename.lower().endswith(".roi")]
            if len(members) > MAX_MEMBERS or sum(member.file_size for member in members) > MAX_BYTES:
                raise InvalidInput(f"{path} holds {len(members)} regions", allowed=f"up to {MAX_MEMBERS}, of 2 GiB")
            for member in members:
                with archive.open(member) as opened:
                    data = opened.read(MAX_MEMBER_BYTES + 1)
                if len(data) > MAX_MEMBER_BYTES:
                    raise InvalidInput(f"{path}: region {member.filename} has over {MAX_MEMBER_BYTES} bytes")
                yield member.filename, data
    except DAMAGED_ZIP as error:
        raise InvalidInput(f"{path} cannot be unpacked: {error}", hint="save the regions again") from None


def _shapes(region: "ImagejRoi") -> tuple[Shape, ...] | str:
    """The shapes of a region: () for points and lines, or what is wrong with it."""
    from roifile import ROI_TYPE

    box = (float(region.left), float(region.top), float(region.right), float(region.bottom))
    if region.subpixelrect:
        box = (region.xd, region.yd, region.xd + region.widthd, region.yd + region.heightd)
    if region.multi_coordinates is not None:  # several rings: pieces and holes
        found = polygon_of([ring for ring in region.coordinates(multi=True) if len(ring) > 2])
    elif region.roitype in (ROI_TYPE.RECT, ROI_TYPE.OVAL):
        if not np.isfinite(box).all() or box[2] <= box[0] or box[3] <= box[1]:
            return f"its box is {box}"
        if region.roitype == ROI_TYPE.OVAL:
            return (Ellipse(box),)
        left, top, right, bottom = box
        return (Polygon((np.array([(left, top), (right, top), (right, bottom), (left, bottom)]),)),)
    elif region.roitype in (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED):
        found = polygon_of([region.coordinates()])
    else:
        return ()
    return found if isinstance(found, str) else (found,)


def _slice(region: "ImagejRoi") -> int | None:
    """The slice of a region, from 0; None if it belongs to all. ImageJ counts from 1."""
    z = region.z_position or (region.position if not (region.c_position or region.t_position) else 0)
    return z - 1 if z > 0 else None
