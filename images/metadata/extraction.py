"""The metadata of an encoded image: all that stays true, and its statements of rights alone."""

from __future__ import annotations

from dataclasses import dataclass

from images import exif
from images.header import ImageHeader
from images.metadata import exif_record, iptc, xmp
from images.metadata.embedded import EmbeddedMetadata, embedded_metadata
from images.metadata.facts import Metadata, Text

AUTHOR, COPYRIGHT = "Author", "Copyright"
RIGHTS = frozenset({AUTHOR, COPYRIGHT, "License", "Licence", "Disclaimer"})
"""Keywords of PNG texts that state author, copyright or licence (ISO/IEC 15948, table 13)."""


@dataclass(frozen=True)
class ExtractedMetadata:
    """What may be handed on with a picture, as its caller chooses."""

    everything: Metadata
    rights: Metadata
    """Author, copyright and licence, and the resolution of a print."""


def extract_metadata(data: bytes, header: ImageHeader, record: bytes) -> ExtractedMetadata:
    """Return the metadata of an encoded image whose bounded EXIF record is known.

    Parsers of XML run here, so foreign files are given to it in the decoder process alone.
    """
    found = embedded_metadata(data, header.format, header.frame)
    density = found.density or exif_record.density(record)
    if density is not None and header.orientation > 4:
        density = density.turned()
    if not (record or found.xmp or found.iptc or found.texts):
        alone = Metadata(density=density)
        return ExtractedMetadata(alone, alone)
    everything = Metadata(
        exif.cleaned(record),
        xmp.cleaned(found.xmp) or _stated(found),
        iptc.cleaned(found.iptc),
        density,
        found.texts,
    )
    rights = Metadata(
        exif_record.rights(record),
        xmp.rights(found.xmp) or _stated(found),
        iptc.rights(found.iptc),
        density,
        tuple(text for text in found.texts if text.keyword.title() in RIGHTS),
    )
    return ExtractedMetadata(everything, rights)


def _stated(found: EmbeddedMetadata) -> bytes:
    """Return a packet with author and copyright that IPTC or a PNG's texts state: other formats
    than theirs have no place for these."""
    creators = iptc.values(found.iptc, iptc.BYLINE) or _texts(found.texts, AUTHOR)
    notices = iptc.values(found.iptc, iptc.COPYRIGHT) or _texts(found.texts, COPYRIGHT)
    return xmp.stating(creators, notices[0] if notices else "")


def _texts(texts: tuple[Text, ...], keyword: str) -> list[str]:
    return [text.text for text in texts if text.keyword.title() == keyword and text.text]
