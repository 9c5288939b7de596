"""Small drawn pictures in every format and layout that is read, from which mutations and fuzzing
start; and some that are refused."""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from benchmarks.bmp_pictures import bmp_file
from benchmarks.heic_pictures import (
    ALPHA_OF_HEIC,
    box,
    coded,
    grid_item,
    heic,
    nclx,
    picture_item,
)
from benchmarks.pictures import draw
from benchmarks.tiff_pictures import Page, tiff_file
from images.colour_space import SRGB, SRGB_CHROMATICITIES, Calibration, Cicp, ColourSpace
from images.containers import photoshop
from images.containers import tiff as tags
from images.encode import encode, writable_formats
from images.heic import reads_heic
from images.metadata.facts import Metadata
from images.picture import Picture, Raster
from jobs.formats import ImageFormat

WIDTH, HEIGHT = 40, 28
"""Sides in pixels: of several blocks in every format, and no multiple of any block."""

Named = tuple[str, bytes]


@functools.cache
def specimens() -> dict[str, bytes]:
    """Return pictures of WIDTH x HEIGHT that are read, by name; equal at each call, for the same
    versions of the encoders. Names begin with the format."""
    found = dict(_png())
    found |= _jpeg()
    found |= _tiff()
    found |= _gif()
    found |= _bmp()
    found |= _heic() if reads_heic() else ()
    for image_format, drawn in _OPTIONAL.items():
        if image_format in writable_formats():
            found |= drawn()
    return found


@functools.cache
def refused_specimens() -> dict[str, bytes]:
    """Return files that are refused: other formats, animations, and depths that are not read."""
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "green")]
    moving: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
    found = {
        "gif animated": _saved(frames[0], "GIF", **moving),
        "png animated": _saved(frames[0], "PNG", **moving),
        "jpeg 12 bits": bytes(imagecodecs.jpeg_encode(_deep() >> 4, bitspersample=12)),
        "jpeg lossless of 16 bits": bytes(imagecodecs.ljpeg_encode(_deep()[:, :, 0])),
        "tiff CMYK": _saved(_drawn("CMYK"), "TIFF"),
        "tiff Lab": _saved(_drawn("LAB"), "TIFF"),
        "tiff of 32 bits": _saved(_drawn("F"), "TIFF"),
        "icon": _saved(_drawn("RGBA"), "ICO"),
        "text": b"This is a text, and not a picture at all.\n",
    }
    for image_format in (ImageFormat.WEBP, ImageFormat.AVIF):
        if image_format in writable_formats():
            found[f"{image_format} animated"] = _saved(frames[0], image_format, **moving)
    return found


def exif_record() -> bytes:
    """Return an EXIF record with its prefix: values of several types, an orientation, a thumbnail's
    directory, and directories below the first."""
    record = Image.Exif()
    record[0x010E] = "drawn"
    record[0x0112] = 6
    record[0x011A] = 72.5
    record.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0comment"
    record.get_ifd(0x8825)[2] = (48.0, 8.0, 14.5)
    return record.tobytes()


PACKET = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    b' xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6">'
    b'<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">drawn</rdf:li></rdf:Alt></dc:rights>'
    b'</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
"""XMP with an orientation and a notice."""


def _texts() -> PngInfo:
    texts = PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", PACKET.decode(), zip=True)
    texts.add_text("Author", "somebody", zip=True)
    texts.add_text("Description", "drawn")
    return texts


def _with_iptc(jpeg: bytes) -> bytes:
    """Return a JPEG with a city and a notice in IPTC."""
    sets = b"\x1c\2\x5a\0\5Paris\x1c\2\x74\0\5drawn"
    content = b"Photoshop 3.0\0" + photoshop.resource(photoshop.IPTC, sets)
    return jpeg[:20] + b"\xff\xed" + struct.pack(">H", len(content) + 2) + content + jpeg[20:]


def _png() -> Iterator[Named]:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        yield f"png {mode}", _saved(_drawn(mode), "PNG")
    for bits in (1, 2, 4):
        yield f"png palette of {bits} bits", _saved(_palette(1 << bits), "PNG", bits=bits)
    yield "png transparent palette", _saved(_drawn("P"), "PNG", transparency=bytes(range(256)))
    yield "png transparent colour", _saved(_drawn(), "PNG", transparency=(1, 2, 3))
    grey = Image.fromarray(_deep()[:, :, 0])
    yield "png grey of 16 bits", _saved(grey, "PNG")
    yield "png RGB of 16 bits", encode(Picture(Raster(_deep())), ImageFormat.PNG)
    yield "png RGBA of 16 bits", encode(Picture(Raster(_deep(4))), ImageFormat.PNG)
    yield "png without an end", _saved(_drawn(), "PNG")[:-14]
    yield "png with a damaged text", _with_damaged_text(_saved(_drawn(), "PNG"))
    yield "png transparent level", _saved(_drawn("L"), "PNG", transparency=7)
    for name, space in _SPACES.items():
        named = Picture(Raster(np.asarray(_drawn())), space=space)
        yield f"png {name}", encode(named, ImageFormat.PNG)
    yield "png exif and profile", _saved(_drawn(), "PNG", **_metadata())
    text = PngInfo()
    record = exif_record()
    text.add_text("Raw profile type exif", f"\nexif\n{len(record):8}\n{record.hex()}\n", zip=True)
    yield "png exif in a text", _saved(_drawn(), "PNG", pnginfo=text)
    yield "png texts and XMP", _saved(_drawn(), "PNG", pnginfo=_texts(), dpi=(300, 300))


def _jpeg() -> Iterator[Named]:
    for mode in ("L", "RGB", "CMYK"):
        yield f"jpeg {mode}", _saved(_drawn(mode), "JPEG", quality=80)
    yield "jpeg progressive", _saved(_drawn(), "JPEG", progressive=True)
    yield "jpeg progressive grey", _saved(_drawn("L"), "JPEG", progressive=True)
    yield "jpeg full colour", _saved(_drawn(), "JPEG", quality=95, subsampling=0)
    yield "jpeg without an end", _saved(_drawn(), "JPEG")[:-2]
    yield "jpeg of an unusual sampling", _saved(_drawn("CMYK"), "JPEG", subsampling=2)
    yield "jpeg lossless", bytes(imagecodecs.jpeg8_encode(np.asarray(_drawn()), lossless=True))
    yield "jpeg restarts", _saved(_drawn(), "JPEG", restart_marker_blocks=1)
    yield "jpeg exif and profile", _saved(_drawn(), "JPEG", **_metadata())
    yield "jpeg XMP, IPTC, comment", _with_iptc(_saved(_drawn(), "JPEG", xmp=PACKET, comment="A"))


def _webp() -> Iterator[Named]:
    for mode in ("RGB", "RGBA"):
        yield f"webp {mode}", _saved(_drawn(mode), "WEBP", quality=60)
        yield f"webp lossless {mode}", _saved(_drawn(mode), "WEBP", lossless=True)
    yield "webp with cut metadata", _saved(_drawn(), "WEBP", **_metadata())[:-5]
    yield "webp exif and profile", _saved(_drawn(), "WEBP", **_metadata())
    yield "webp XMP", _saved(_drawn(), "WEBP", xmp=PACKET)


def _avif() -> Iterator[Named]:
    for mode in ("RGB", "RGBA"):
        yield f"avif {mode}", _saved(_drawn(mode), "AVIF", speed=9)
    yield "avif full colour", _saved(_drawn(), "AVIF", speed=9, subsampling="4:4:4")
    yield "avif exif and profile", _saved(_drawn(), "AVIF", speed=9, **_metadata())
    yield "avif XMP", _saved(_drawn(), "AVIF", speed=9, xmp=PACKET)
    if imagecodecs.AVIF.available:
        ten_bits = imagecodecs.avif_encode(_deep() >> 6, bitspersample=10, speed=9)
        yield "avif of 10 bits", bytes(ten_bits)
        transparent = Picture(Raster(_deep(4)), space=Cicp(9, 16))
        yield "avif of 10 bits, transparent, HDR", encode(transparent, ImageFormat.AVIF)


def _jxl() -> Iterator[Named]:
    for mode in ("L", "LA", "RGB", "RGBA"):
        samples = np.asarray(_drawn(mode)).reshape(HEIGHT, WIDTH, -1)
        yield f"jxl {mode}", encode(Picture(Raster(samples)), ImageFormat.JXL)
    hdr = Picture(Raster(_deep()), space=Cicp(9, 16))
    yield "jxl HDR of 16 bits", encode(hdr, ImageFormat.JXL)
    yield "jxl RGB of 16 bits", encode(Picture(Raster(_deep())), ImageFormat.JXL)
    samples = np.asarray(_drawn())
    metadata = Metadata(exif_record(), PACKET)
    with_exif = Picture(Raster(samples), icc=_profile(), metadata=metadata)
    yield "jxl exif, XMP and profile", encode(with_exif, ImageFormat.JXL)
    yield "jxl lossless", bytes(imagecodecs.jpegxl_encode(samples, lossless=True))
    repacked = imagecodecs.jpegxl_encode_jpeg(_saved(_drawn(), "JPEG"))
    yield "jxl repacked jpeg", bytes(repacked)


def _tiff() -> Iterator[Named]:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        yield f"tiff {mode}", _saved(_drawn(mode), "TIFF")
    for method in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield f"tiff {method}", _saved(_drawn(), "TIFF", compression=method)
    yield "tiff fax", _saved(_drawn("1"), "TIFF", compression="group4")
    yield "tiff YCbCr", _saved(_drawn("YCbCr"), "TIFF", compression="jpeg")
    flat, deep = np.asarray(_drawn("RGBA")), _deep(4)
    yield "tiff tiles", tiff_file([Page(flat[:, :, :3], tile=16, deflated=True)])
    yield "tiff planes of 16 bits", tiff_file([Page(deep[:, :, :3], separate=True)], ">")
    yield "tiff RGBA of 16 bits", encode(Picture(Raster(deep)), ImageFormat.TIFF)
    yield "tiff multiplied", tiff_file([Page(flat, extra=tags.ASSOCIATED)])
    yield "tiff white is zero", tiff_file([Page(flat[:, :, :1], tags.WHITE_IS_ZERO)])
    yield "tiff pages", tiff_file([Page(flat[:, :, :3]), Page(flat[:, :, :1], tags.BLACK_IS_ZERO)])
    metadata = Metadata(exif_record(), PACKET)
    with_exif = Picture(Raster(flat), icc=_profile(), metadata=metadata)
    yield "tiff exif, XMP and profile", encode(with_exif, ImageFormat.TIFF)


def _gif() -> Iterator[Named]:
    yield "gif", _saved(_drawn("P"), "GIF")
    yield "gif of 4 colours", _saved(_palette(4), "GIF")
    yield "gif transparent, interlaced", _saved(_drawn("P"), "GIF", transparency=3, interlace=1)
    yield "gif comment", _saved(_drawn("P"), "GIF", comment=b"drawn")


def _bmp() -> Iterator[Named]:
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield f"bmp {mode}", _saved(_drawn(mode), "BMP")
    yield "bmp of 4 bits", bmp_file(4, struct.pack("<16I", *range(0, 1 << 24, 1 << 20)))
    yield "bmp of 16 bits", bmp_file(16)
    yield "bmp top-down", bmp_file(24, top_down=True)
    runs = b"".join(bytes((WIDTH, row)) + b"\0\0" for row in range(HEIGHT)) + b"\0\1"
    yield "bmp runs", bmp_file(8, struct.pack("<256I", *range(0, 1 << 24, 1 << 16)), runs)


def _heic() -> Iterator[Named]:
    red, green, blue, alpha = np.moveaxis(np.asarray(_drawn("RGBA")), 2, 0)
    yield "heic RGB", heic([picture_item(coded([green, blue, red]), nclx(1, 13))])
    yield "heic grey", heic([picture_item(coded([red]))])
    halved = coded([red, green[::2, ::2], blue[::2, ::2]])
    turned = box(b"irot", b"\1"), box(b"imir", b"\0")
    yield "heic of halved colours, turned", heic([picture_item(halved, *turned)])
    deep = np.moveaxis(_deep() >> 6, 2, 0)
    ten_bits = coded([deep[1], deep[2], deep[0]], 10)
    yield "heic of 10 bits, HDR", heic([picture_item(ten_bits, nclx(9, 16))])
    mask = picture_item(coded([alpha]), ALPHA_OF_HEIC, references=((b"auxl", (1,)),))
    yield "heic grey and alpha", heic([picture_item(coded([red])), mask])
    tiles = [picture_item(coded([half])) for half in np.split(red, 2, axis=1)]
    yield "heic grid", heic([grid_item(1, 2, WIDTH, HEIGHT, (2, 3)), *tiles])


_SPACES: dict[str, ColourSpace] = {
    "code points": Cicp(12, 13),
    "sRGB": SRGB,
    "gamma and primaries": Calibration(55_000, SRGB_CHROMATICITIES),
}
_OPTIONAL = {ImageFormat.WEBP: _webp, ImageFormat.AVIF: _avif, ImageFormat.JXL: _jxl}
"""Formats that an installation may lack."""


def _drawn(mode: str = "RGB") -> Image.Image:
    image = Image.fromarray(draw(WIDTH, HEIGHT))
    if mode == "P":
        return _palette(256)
    drawn = image.convert(mode)
    if mode.endswith("A"):
        drawn.putalpha(Image.linear_gradient("L").resize(image.size))
    return drawn


def _with_damaged_text(data: bytes) -> bytes:
    return data[:33] + struct.pack(">I", 6) + b"tEXt" + b"Key\0ab" + bytes(4) + data[33:]


def _palette(colours: int) -> Image.Image:
    return Image.fromarray(draw(WIDTH, HEIGHT)).quantize(colours)


def _deep(channels: int = 3) -> NDArray[np.uint16]:
    """Return samples of 16 bits, [HEIGHT, WIDTH, channels]."""
    samples = draw(WIDTH, HEIGHT).astype(np.uint16) * 257 + 1
    return np.dstack([samples, samples[:, :, :1]])[:, :, :channels]


def _profile() -> bytes:
    """Return an sRGB profile, without the time of its making."""
    icc = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    icc[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return bytes(icc)


def _metadata() -> dict[str, Any]:
    return {"exif": exif_record(), "icc_profile": _profile()}


def _saved(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=image_format, **options)
    return buffer.getvalue()
