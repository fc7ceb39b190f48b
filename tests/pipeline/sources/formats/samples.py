"""A small file of each format with known values, and what it should be read as."""

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import mrcfile
import nibabel
import numcodecs
import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image
from pylibCZIrw import czi

WHOLE = (slice(None),) * 4
VOLUME = (np.arange(5 * 40 * 30).reshape(5, 40, 30) % 251).astype(np.uint8)
PLANE = VOLUME[0]
COLOURS = np.dstack([PLANE, PLANE[::-1], PLANE // 2])
DEEP = COLOURS.astype(np.uint16) * 200
Values = NDArray[Any]


def write_n5(folder: Path, data: Values, attributes: dict[str, Any], compression: str = "gzip") -> None:
    """An N5 dataset with blocks of 16 pixels along each axis, written as its specification says."""
    folder.mkdir(parents=True)
    block = (16,) * data.ndim
    codecs: dict[str, Callable[[bytes], bytes]] = {
        "gzip": numcodecs.GZip().encode,
        "zstd": numcodecs.Zstd().encode,
        "bzip2": numcodecs.BZ2().encode,
        "blosc": numcodecs.Blosc().encode,
        "xz": numcodecs.LZMA().encode,
        "raw": bytes,
    }
    about = {
        "dimensions": data.shape[::-1],
        "blockSize": block,
        "dataType": data.dtype.name,
        "compression": {"type": compression},
    }
    (folder / "attributes.json").write_text(json.dumps(about | attributes))
    for index in np.ndindex(*(-(-n // b) for n, b in zip(data.shape, block, strict=True))):
        part = data[tuple(slice(i * b, (i + 1) * b) for i, b in zip(index, block, strict=True))]
        header = struct.pack(f">HH{data.ndim}I", 0, data.ndim, *part.shape[::-1])
        place = folder.joinpath(*map(str, index[::-1]))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(header + codecs[compression](part.astype(part.dtype.newbyteorder(">")).tobytes()))


def png(depth: int, colours: int, rows: list[bytes], width: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file of packed rows."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, len(rows), depth, colours, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    named = b"".join(chunk(*one) for one in chunks)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + named + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def packed(values: Values, depth: int) -> list[bytes]:
    """Rows of numbers of `depth` bits."""
    bits = np.unpackbits(values.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth :]
    return [np.packbits(row.ravel()).tobytes() for row in bits]


def lif(images: dict[str, Values]) -> bytes:
    """A Leica LIF file: an XML header, and a block of memory for each image (y, x) of uint8 of 0.5 x 0.25 um pixels."""
    channel = (
        '<ChannelDescription DataType="0" ChannelTag="0" Resolution="8" NameOfMeasuredQuantity="" Min="0" Max="255"'
        ' Unit="" LUTName="Gray" IsLUTInverted="0" BytesInc="0" BitInc="0"/>'
    )

    def dimension(number: int, length: int, size: float, step: int) -> str:
        about = f'Origin="0" Length="{size * (length - 1)}" Unit="m" BitInc="0" BytesInc="{step}"'
        return f'<DimensionDescription DimID="{number}" NumberOfElements="{length}" {about}/>'

    elements = "".join(
        f'<Element Name="{name}"><Data><Image><ImageDescription><Channels>{channel}</Channels><Dimensions>'
        + dimension(1, data.shape[1], 0.25e-6, 1)
        + dimension(2, data.shape[0], 0.5e-6, data.shape[1])
        + "</Dimensions></ImageDescription></Image></Data>"
        f'<Memory Size="{data.size}" MemoryBlockID="MemBlock_{i}"/></Element>'
        for i, (name, data) in enumerate(images.items())
    )
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="x"><Data/><Memory Size="0" MemoryBlockID="MemBlock_x"/>'
        f"<Children>{elements}</Children></Element></LMSDataContainerHeader>"
    ).encode("utf-16-le")
    out = struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2) + xml
    for i, data in enumerate(images.values()):
        name = f"MemBlock_{i}".encode("utf-16-le")
        out += (
            struct.pack("<IIBQBI", 0x70, len(name) + 14, 0x2A, data.size, 0x2A, len(name) // 2) + name + data.tobytes()
        )
    return out


def write_czi(path: Path) -> None:
    """A CZI file of two channels and the slices of VOLUME, 0.1 x 0.1 x 0.5 um."""
    with czi.create_czi(str(path)) as file:
        for z, plane in enumerate(VOLUME):
            for c in range(2):
                file.write((plane // (c + 1))[..., None], plane={"Z": z, "C": c, "T": 0})
        file.write_metadata(scale_x=1e-7, scale_y=1e-7, scale_z=5e-7)


def write_hdf5(path: Path) -> None:
    """An HDF5 file of one volume in chunks, with a pixel size, beside a table."""
    with h5py.File(path, "w") as file:
        file.create_dataset("a/raw", data=VOLUME, chunks=(2, 16, 16), compression="gzip")
        file["a/raw"].attrs["element_size_um"] = [0.5, 0.2, 0.1]
        file["table"] = np.arange(9)


def write_nifti(path: Path) -> None:
    """A NIfTI volume of VOLUME, whose axes are x, y, z."""
    affine = np.diag([0.1, 0.2, 0.5, 1])
    image: Any = nibabel.Nifti1Image(VOLUME.transpose(2, 1, 0), affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def write_mrc(path: Path) -> None:
    """An MRC volume of 10 x 20 x 50 angstrom a voxel."""
    with mrcfile.new(path) as file:
        file.set_data(VOLUME.astype(np.int16))
        file.voxel_size = (10, 20, 50)


def write_pyramid(path: Path) -> None:
    """A tiled OME-TIFF of VOLUME[0] four times as large, with a level in a SubIFD."""
    with tifffile.TiffWriter(path) as tiff:
        large = np.kron(PLANE, np.ones((4, 4), np.uint8))
        tiff.write(large, subifds=1, tile=(64, 64), metadata={"axes": "YX"})
        tiff.write(large[::2, ::2], subfiletype=1, tile=(64, 64))


def write_ome_zarr(path: Path) -> None:
    """An OME-Zarr 0.4 image of VOLUME in two levels."""
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    group.create_array("0", data=VOLUME, chunks=(2, 16, 16))
    group.create_array("1", data=VOLUME[:, ::2, ::2], chunks=(2, 16, 16))
    axes: Any = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    levels: Any = [
        {"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": [0.5, 0.1 * 2**i, 0.1 * 2**i]}]}
        for i in range(2)
    ]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": levels}]


def write_zip(path: Path) -> None:
    """That image in a zip file."""
    with zarr.storage.ZipStore(str(path), mode="w") as store:
        zarr.create_array(store, name="raw", data=VOLUME, chunks=(2, 16, 16))


SAMPLES: dict[str, tuple[Callable[[Path], object], Values]] = {
    "x.tif": (lambda path: tifffile.imwrite(path, VOLUME, compression="zlib"), VOLUME),
    "pyramid.ome.tif": (write_pyramid, np.kron(PLANE, np.ones((4, 4), np.uint8))),
    "x.png": (lambda path: Image.fromarray(COLOURS).save(path), COLOURS),
    "deep.png": (
        lambda path: path.write_bytes(imagecodecs.png_encode(COLOURS.astype(np.uint16) * 200)),
        COLOURS * np.uint16(200),
    ),
    "x.bmp": (lambda path: Image.fromarray(PLANE).save(path), PLANE),
    "x.gif": (lambda path: Image.fromarray(PLANE).save(path), PLANE),
    "x.npy": (lambda path: np.save(path, VOLUME), VOLUME),
    "x.npz": (lambda path: np.savez_compressed(path, raw=VOLUME), VOLUME),
    "x.zarr.zip": (write_zip, VOLUME),
    "x.h5": (write_hdf5, VOLUME),
    "x.nii": (write_nifti, VOLUME),
    "x.nii.gz": (write_nifti, VOLUME),
    "x.mrc": (write_mrc, VOLUME.astype(np.int16)),
    "x.czi": (write_czi, np.stack([VOLUME, VOLUME // 2])),
    "x.lif": (lambda path: path.write_bytes(lif({"one": PLANE})), PLANE),
}
