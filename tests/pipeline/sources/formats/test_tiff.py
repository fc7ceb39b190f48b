from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.pipeline.sources.formats.samples import COLOURS, PLANE, VOLUME, WHOLE, write_pyramid
from unetprep.errors import InvalidInput
from unetprep.sources import open_source
from unetprep.sources.source import Choice, Source

LARGE = np.kron(PLANE, np.ones((4, 4), np.uint8))  # 160 x 120


def opened(path: Path, **choice: Any) -> Source:
    return open_source(str(path), Choice(**choice))


@pytest.mark.parametrize("kind", ["subifds", "pages"])
def test_a_level_of_a_pyramid(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.tif"
    if kind == "subifds":
        write_pyramid(path)
    else:
        with tifffile.TiffWriter(path) as tiff:
            for step in (1, 2):
                tiff.write(LARGE[::step, ::step], tile=(64, 64))
    np.testing.assert_array_equal(opened(path).read(WHOLE)[0, 0], LARGE)
    np.testing.assert_array_equal(opened(path, level=1).read(WHOLE)[0, 0], LARGE[::2, ::2])
    with pytest.raises(InvalidInput, match=r"(?s)no level 2.*0: 160 x 120, 1: 80 x 60"):
        opened(path, level=2)


def test_pages_of_other_sizes_are_refused_until_one_is_chosen(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "x.tif") as tiff:
        tiff.write(LARGE[:100])
        tiff.write(PLANE)
    with pytest.raises(InvalidInput, match=r"(?s)holds 2 images.*0: 100 x 120.*1: 40 x 30.*--series N"):
        opened(tmp_path / "x.tif")
    np.testing.assert_array_equal(opened(tmp_path / "x.tif", series=1).read(WHOLE)[0, 0], PLANE)
    with pytest.raises(InvalidInput, match="no --series 2"):
        opened(tmp_path / "x.tif", series=2)


def ome_set(folder: Path, num_files: int) -> list[Path]:
    """An OME-TIFF of one time in each file, of which the first is described by all."""
    paths = [folder / f"s_t{t}.ome.tif" for t in range(3)]
    data = "".join(
        f'<TiffData IFD="0" FirstT="{t}" PlaneCount="1"><UUID FileName="{path.name}">urn:uuid:{t}</UUID></TiffData>'
        for t, path in enumerate(paths)
    )
    for t, path in enumerate(paths[:num_files]):
        xml = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{t}"><Image ID="Image:0">'
            '<Pixels DimensionOrder="XYZCT" ID="Pixels:0" SizeC="1" SizeT="3" SizeX="30" SizeY="40" SizeZ="1"'
            f' Type="uint8"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{data}</Pixels></Image></OME>'
        )
        tifffile.imwrite(path, VOLUME[t], metadata=None, description=xml)
    return paths


def test_an_ome_tiff_of_several_files_is_read_if_all_are_there(tmp_path: Path) -> None:
    first = ome_set(tmp_path, 3)[0]
    np.testing.assert_array_equal(opened(first).read(WHOLE)[0], VOLUME[:3])
    (tmp_path / "s_t2.ome.tif").unlink()
    with pytest.raises(InvalidInput, match=r"one of 3 files of an OME-TIFF, and s_t2\.ome\.tif is not there"):
        opened(first)


def test_an_opaque_alpha_channel_is_dropped_as_from_a_png(tmp_path: Path) -> None:
    for name, alpha in (("opaque", 255), ("half", 128)):
        pixels = np.dstack([COLOURS, np.full_like(PLANE, alpha)])
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, photometric="rgb", extrasamples=["unassalpha"])
    source = opened(tmp_path / "opaque.tif")
    np.testing.assert_array_equal(source.read(WHOLE)[:, 0], COLOURS.transpose(2, 0, 1))
    assert opened(tmp_path / "half.tif").shape[0] == 4


UM = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 0.5}
IN_UM = {f"{key}Unit": "µm" for key in UM}
IMAGEJ: dict[str, Any] = {"imagej": True, "resolution": (10, 5)}
MEASURED: list[tuple[dict[str, Any], tuple[float, ...] | None]] = [
    (IMAGEJ | {"metadata": {"axes": "ZYX", "spacing": 0.5, "unit": "um"}}, (0.5, 0.2, 0.1)),
    (IMAGEJ | {"metadata": {"axes": "ZYX", "unit": "pixel"}}, None),
    ({"ome": True, "metadata": {"axes": "ZYX", **UM, **IN_UM}}, (0.5, 0.2, 0.1)),
    ({"ome": True, "metadata": {"axes": "ZYX", **UM, "PhysicalSizeZUnit": "nm"}}, (0.0005, 0.2, 0.1)),
    ({"ome": True, "metadata": {"axes": "ZYX"}}, None),
    ({"resolution": (300, 300), "resolutionunit": "INCH"}, None),
    ({"resolution": (1000, 1000), "resolutionunit": "CENTIMETER"}, None),
]


@pytest.mark.parametrize(("options", "size"), MEASURED)
def test_pixel_sizes_come_from_the_metadata_of_microscopes(
    tmp_path: Path, options: dict[str, Any], size: tuple[float, ...] | None
) -> None:
    tifffile.imwrite(tmp_path / "x.tif", VOLUME, photometric="minisblack", **options)
    source = opened(tmp_path / "x.tif")
    assert source.unit == ("micrometer" if size else "")
    assert source.pixel_size == (size and pytest.approx(size))


def test_the_pixel_size_follows_level_and_axes(tmp_path: Path) -> None:
    about = {"axes": "YX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2}
    with tifffile.TiffWriter(tmp_path / "x.ome.tif") as tiff:
        tiff.write(LARGE, subifds=1, tile=(64, 64), metadata=about)
        tiff.write(LARGE[::2, ::2], subfiletype=1, tile=(64, 64))
    assert opened(tmp_path / "x.ome.tif", level=1).pixel_size == pytest.approx((None, 0.4, 0.2))
    turned = opened(tmp_path / "x.ome.tif", axes="xy")
    assert turned.shape == (1, 1, 120, 160)
    assert turned.pixel_size == pytest.approx((None, 0.1, 0.2))
