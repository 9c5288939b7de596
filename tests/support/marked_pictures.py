"""Pictures of all kinds with every metadata that their formats hold, and words to find it by.

Pillow and imagecodecs write them; what these cannot write is put into the files here.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational

from benchmarks.heic_pictures import ALPHA_OF_HEIC, Item, coded, heic, nclx, picture_item
from benchmarks.tiff_pictures import Page, tiff_file, undefined
from images.containers import tiff as tags
from images.containers.boxes import walk
from images.containers.jxl import CODESTREAM, CONTAINER
from images.tiff_tree import Value

WIDTH, HEIGHT = 48, 32
DPI = 300
CAMERA, AUTHOR, NOTICE = "CameraOfTheTest", "AuthorOfTheTest", "NoticeOfTheTest"
"""In EXIF: the first is not about rights."""
XMP_TITLE, XMP_NOTICE = "TitleOfThePacket", "RightsOfThePacket"
IPTC_CITY, IPTC_NOTICE = "CityOfTheDataSets", "NoticeOfTheDataSets"
TEXT, TEXT_AUTHOR = "TextOfTheChunk", "AuthorOfTheChunk"

GREY, PALETTE, CMYK, ALPHA = "grey", "palette", "CMYK", "alpha"
DEEP_10, DEEP_16 = "10 bits", "16 bits"
PROFILE, EXIF, XMP, IPTC = "profile", "EXIF", "XMP", "IPTC"
RESOLUTION, TEXTS = "resolution", "texts"


@dataclass(frozen=True)
class Marked:
    """A kind of picture."""

    name: str
    holds: tuple[str, ...]
    """What there is of it beside colours of 8 bits."""
    make: Callable[[], bytes]


@cache
def profile() -> bytes:
    """Return sRGB but for an exponent of 2.0 instead of 2.4; always the same, though a profile has
    the time of its making."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return made.replace(b"\0\2\x66\x66", b"\0\2\0\0")


def exif(orientation: int = 1) -> Image.Exif:
    """Return a record with camera, author, time and place, resolution and a false size."""
    record = Image.Exif()
    record[0x010F], record[0x013B], record[0x8298] = CAMERA, AUTHOR, NOTICE
    record[0x0112] = orientation
    record[0x011A] = record[0x011B] = IFDRational(DPI)
    record[0x0128] = 2
    record.get_ifd(0x8769).update({0x9003: "2001:02:03 04:05:06", 0xA002: WIDTH, 0xA003: HEIGHT})
    record.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 14.5)})
    return record


def packet(orientation: int = 1) -> bytes:
    """Return an XMP packet with title, notice, place, orientation and size."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="a program">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="uuid:1" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"'
        f' tiff:Orientation="{orientation}" exif:GPSLatitude="48,8.2N">'
        f"<dc:title>{_alternatives(XMP_TITLE)}</dc:title>"
        f"<dc:rights>{_alternatives(XMP_NOTICE)}</dc:rights>"
        f"<exif:PixelXDimension>{WIDTH}</exif:PixelXDimension>"
        f"</rdf:Description></rdf:RDF></x:xmpmeta>{' ' * 100}"
        '<?xpacket end="w"?>'
    ).encode()


def _alternatives(text: str) -> str:
    return f'<rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt>'


def iptc_data_sets() -> bytes:
    """Return IPTC with city and notice."""
    sets = ((1, 90, b"\x1b%G"), (2, 90, IPTC_CITY.encode()), (2, 116, IPTC_NOTICE.encode()))
    return b"".join(b"\x1c" + struct.pack(">BBH", r, n, len(v)) + v for r, n, v in sets)


def iptc_resources() -> bytes:
    """Return Photoshop resources: one of another kind, and IPTC with city and notice."""
    iim = iptc_data_sets()
    return b"".join(
        b"8BIM" + struct.pack(">HHI", number, 0, len(value)) + value + bytes(len(value) % 2)
        for number, value in ((0x0425, bytes(16)), (0x0404, iim))
    )


def drawn(mode: str) -> Image.Image:
    """Return a picture of few colours, so that a palette may stay one."""
    image = Image.linear_gradient("L").resize((WIDTH, HEIGHT)).point(lambda v: v // 64 * 64)
    coloured = Image.merge("RGB", (image, image.transpose(Image.Transpose.ROTATE_180), image))
    if mode == "P":
        return coloured.quantize(16)
    converted = coloured.convert(mode)
    if mode.endswith("A"):
        converted.putalpha(Image.linear_gradient("L").resize((WIDTH, HEIGHT)))
    return converted


def deep(channels: int, bits: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Return noise [HEIGHT, WIDTH, channels] of up to 16 bits."""
    return np.random.default_rng(0).integers(0, 1 << bits, (HEIGHT, WIDTH, channels), np.uint16)


def jpeg(mode: str, orientation: int = 1, icc: bytes | None = None) -> bytes:
    """Return a JPEG with all metadata."""
    marked = {"exif": exif(orientation), "xmp": packet(orientation), "dpi": (DPI, DPI)}
    data = _saved(drawn(mode), "JPEG", icc_profile=icc, comment=TEXT, **marked)
    content = b"Photoshop 3.0\0" + iptc_resources()
    return data[:20] + b"\xff\xed" + struct.pack(">H", len(content) + 2) + content + data[20:]


def png(image: Image.Image | bytes, icc: bytes | None = None, **options: Any) -> bytes:
    """Return a PNG with all metadata."""
    data = image if isinstance(image, bytes) else _saved(image, "PNG", **options)
    resources = iptc_resources()
    raw = f"\niptc\n{len(resources):8}\n{resources.hex()}\n".encode()
    chunks = (
        (b"iCCP", b"p\0\0" + zlib.compress(icc)) if icc else (b"", b""),
        (b"pHYs", struct.pack(">IIB", 11811, 11811, 1)),
        (b"eXIf", exif().tobytes().removeprefix(b"Exif\0\0")),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(packet())),
        (b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(raw)),
        (b"tEXt", b"Description\0" + TEXT.encode()),
        (b"tEXt", b"Author\0" + TEXT_AUTHOR.encode()),
    )
    return data[:33] + b"".join(chunk(*part) for part in chunks if part[0]) + data[33:]


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def by_pillow(mode: str, image_format: str, **options: Any) -> bytes:
    """Return a WebP or AVIF with all metadata."""
    marked = {"exif": exif().tobytes(), "xmp": packet(), "icc_profile": profile()}
    return _saved(drawn(mode), image_format, **marked, **options)


def tiff(mode: str, **options: Any) -> bytes:
    """Return a TIFF with all metadata."""
    entries = exif()
    entries[700], entries[33723] = packet(), iptc_data_sets()
    return _saved(drawn(mode), "TIFF", exif=entries, dpi=(DPI, DPI), **options)


def deep_tiff() -> bytes:
    """Return a TIFF of 16 bits with transparency, in tiles, the highest byte first, with IPTC among
    the resources of Photoshop."""
    stated = {0x010F: CAMERA, 0x013B: AUTHOR, 0x8298: NOTICE}
    more = {
        tags.PROFILE: undefined(profile()),
        tags.PHOTOSHOP: undefined(iptc_resources()),
        tags.XMP: undefined(packet()),
        tags.X_RESOLUTION: Value(5, 1, struct.pack(">II", DPI, 1)),
        tags.Y_RESOLUTION: Value(5, 1, struct.pack(">II", DPI, 1)),
        **{tag: Value(2, len(text) + 1, text.encode() + b"\0") for tag, text in stated.items()},
    }
    page = Page(deep(4, 16), deflated=True, tile=16, extra=tags.UNASSOCIATED, more=more)
    return tiff_file([page], ">")


def heic_picture(samples: np.ndarray[Any, Any], bits: int = 8, *, alpha: bool = False) -> bytes:
    """Return a HEIC with EXIF and XMP; of 8 bits with a profile, of more in HDR."""
    red, green, blue, *_ = np.moveaxis(samples, 2, 0)
    space = nclx(9, 16) if bits > 8 else nclx(1, 13)
    icc = () if bits > 8 else (box(b"colr", b"prof" + profile()),)
    of_picture = ((b"cdsc", (1,)),)
    record = bytes(4) + exif().tobytes().removeprefix(b"Exif\0\0")
    items = [
        picture_item(coded([green, blue, red], bits), *icc, space),
        Item(b"Exif", record, references=of_picture),
        Item(b"mime", packet(), references=of_picture, media_type=b"application/rdf+xml"),
    ]
    if alpha:
        mask = coded([samples[:, :, 3]], bits)
        items.append(picture_item(mask, ALPHA_OF_HEIC, references=((b"auxl", (1,)),)))
    return heic(items)


def gif_with_packet(**options: Any) -> bytes:
    """Return a GIF with XMP."""
    data = _saved(drawn("P"), "GIF", **options)
    at = 13 + (3 << (data[10] & 7) + 1)
    trailer = b"\1" + bytes(range(255, -1, -1)) + b"\0"
    head = data[:at].replace(b"GIF87a", b"GIF89a")
    return head + b"\x21\xff\x0bXMP DataXMP" + packet() + trailer + data[at:]


def jxl(samples: np.ndarray[Any, Any]) -> bytes:
    """Return a JPEG XL with all metadata but a profile."""
    stream = bytes(imagecodecs.jpegxl_encode(samples))
    if stream.startswith(CODESTREAM):
        head = CONTAINER + box(b"ftyp", b"jxl \0\0\0\0jxl ")
        stream = head + box(b"jxlc", stream)
    record = bytes(4) + exif().tobytes().removeprefix(b"Exif\0\0")
    at = (
        next(
            found.start
            for kind, found in walk(stream, 0, len(stream))
            if kind in (b"jxlc", b"jxlp")
        )
        - 8
    )
    return stream[:at] + box(b"Exif", record) + box(b"xml ", packet()) + stream[at:]


def box(kind: bytes, content: bytes) -> bytes:
    """Return a box of an ISO base media file."""
    return struct.pack(">I", 8 + len(content)) + kind + content


def _saved(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=image_format, **options)
    return buffer.getvalue()


_OF_ALL = (EXIF, XMP, RESOLUTION)
_OF_JPEG = (*_OF_ALL, IPTC, TEXTS)
_OF_TIFF = (*_OF_ALL, IPTC)
GREY_PROFILE = bytes(imagecodecs.cms_profile("gray", gamma=1.0))

KINDS = (
    Marked("JPEG RGB", (PROFILE, *_OF_JPEG), lambda: jpeg("RGB", icc=profile())),
    Marked("JPEG grey", (GREY, PROFILE, *_OF_JPEG), lambda: jpeg("L", icc=GREY_PROFILE)),
    Marked("JPEG CMYK", (CMYK, *_OF_JPEG), lambda: jpeg("CMYK")),
    Marked("PNG RGB", (PROFILE, *_OF_JPEG), lambda: png(drawn("RGB"), profile())),
    Marked(
        "PNG RGBA, 16 bits",
        (ALPHA, DEEP_16, PROFILE, *_OF_JPEG),
        lambda: png(bytes(imagecodecs.png_encode(deep(4, 16))), profile()),
    ),
    Marked(
        "PNG palette with tRNS",
        (PALETTE, ALPHA, PROFILE, *_OF_JPEG),
        lambda: png(drawn("P"), profile(), transparency=bytes(range(0, 256, 16))),
    ),
    Marked("PNG grey, 1 bit", (GREY, *_OF_JPEG), lambda: png(drawn("1"))),
    Marked(
        "PNG grey and alpha",
        (GREY, ALPHA, PROFILE, *_OF_JPEG),
        lambda: png(drawn("LA"), GREY_PROFILE),
    ),
    Marked("WebP lossy", (PROFILE, *_OF_ALL), lambda: by_pillow("RGB", "WEBP")),
    Marked(
        "WebP lossless, alpha",
        (ALPHA, PROFILE, *_OF_ALL),
        lambda: by_pillow("RGBA", "WEBP", lossless=True),
    ),
    Marked("AVIF, 8 bits", (PROFILE, *_OF_ALL), lambda: by_pillow("RGB", "AVIF", speed=10)),
    Marked(
        "AVIF, 10 bits, alpha",
        (ALPHA, DEEP_10),
        lambda: bytes(imagecodecs.avif_encode(deep(4, 10), bitspersample=10, speed=10)),
    ),
    Marked("JPEG XL, 8 bits", _OF_ALL, lambda: jxl(np.asarray(drawn("RGB")))),
    Marked("JPEG XL, 16 bits", (DEEP_16, *_OF_ALL), lambda: jxl(deep(3, 16))),
    Marked("TIFF RGB", (PROFILE, *_OF_TIFF), lambda: tiff("RGB", icc_profile=profile())),
    Marked("TIFF RGBA, 16 bits", (ALPHA, DEEP_16, PROFILE, *_OF_TIFF), deep_tiff),
    Marked("TIFF palette", (PALETTE, *_OF_TIFF), lambda: tiff("P", compression="tiff_lzw")),
    Marked("TIFF grey, 1 bit", (GREY, *_OF_TIFF), lambda: tiff("1", compression="group4")),
    Marked("TIFF in JPEG", _OF_TIFF, lambda: tiff("RGB", compression="jpeg")),
    Marked("HEIC, 8 bits", (PROFILE, *_OF_ALL), lambda: heic_picture(np.asarray(drawn("RGB")))),
    Marked(
        "HEIC, 10 bits, alpha, HDR",
        (ALPHA, DEEP_10, *_OF_ALL),
        lambda: heic_picture(deep(4, 10), 10, alpha=True),
    ),
    Marked("GIF", (PALETTE, XMP), gif_with_packet),
    Marked(
        "GIF, transparent",
        (PALETTE, ALPHA, XMP),
        lambda: gif_with_packet(transparency=3),
    ),
    Marked("BMP", (RESOLUTION,), lambda: _saved(drawn("RGB"), "BMP", dpi=(DPI, DPI))),
    Marked("BMP palette", (PALETTE, RESOLUTION), lambda: _saved(drawn("P"), "BMP", dpi=(DPI, DPI))),
)
"""Kinds of inputs whose way to each output format docs/pictures.md lists."""
