"""What is kept of an XMP packet: everything that stays true, or what states author and licence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class Name(NamedTuple):
    """The name of an element or attribute."""

    space: str
    """Its namespace; empty where it has none."""
    local: str


RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
META = "adobe:ns:meta/"
XML = "http://www.w3.org/XML/1998/namespace"
DC = "http://purl.org/dc/elements/1.1/"
PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
RIGHTS_MANAGEMENT = "http://ns.adobe.com/xap/1.0/rights/"
PLUS = "http://ns.useplus.org/ldf/xmp/1.0/"
IPTC_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_CC = "http://creativecommons.org/ns#"

_RIGHTS: Mapping[str, frozenset[str]] = {
    DC: frozenset({"creator", "rights"}),
    RIGHTS_MANAGEMENT: frozenset({"Certificate", "Marked", "Owner", "UsageTerms", "WebStatement"}),
    PHOTOSHOP: frozenset({"Credit", "Source"}),
    _CC: frozenset({"license", "attributionName", "attributionURL", "morePermissions"}),
    PLUS: frozenset(
        {
            *("Version", "DataMining", "CopyrightStatus", "CreditLineRequired", "OtherConstraints"),
            *("CopyrightOwner", "CopyrightOwnerName", "ImageCreator", "ImageCreatorName"),
            *("Licensor", "LicensorName", "LicensorURL", "TermsAndConditionsURL"),
        }
    ),
    IPTC_EXTENSION: frozenset({"DigitalSourceType"}),
}
"""Properties, and members of their structures, that say who made a picture, how, and what others
may do with it; neither addresses nor telephone numbers."""

_UNTRUE: Mapping[str, frozenset[str]] = {
    "http://ns.adobe.com/tiff/1.0/": frozenset(
        {
            *("Orientation", "ImageWidth", "ImageLength", "BitsPerSample", "SamplesPerPixel"),
            *("Compression", "PhotometricInterpretation", "PlanarConfiguration"),
            *("YCbCrSubSampling", "XResolution", "YResolution", "ResolutionUnit"),
        }
    ),
    "http://ns.adobe.com/exif/1.0/": frozenset(
        {
            *("PixelXDimension", "PixelYDimension", "SubjectArea", "SubjectLocation"),
            *("FocalPlaneXResolution", "FocalPlaneYResolution", "FocalPlaneResolutionUnit"),
        }
    ),
    "http://ns.adobe.com/xap/1.0/": frozenset({"Thumbnails"}),
    "http://ns.adobe.com/xmp/note/": frozenset({"HasExtendedXMP"}),
    "http://purl.org/dc/terms/": frozenset({"provenance"}),  # of a signature of the old pixels
}
"""What a larger, upright picture makes untrue."""
_UNTRUE_SPACES = (
    "http://ns.google.com/photos/1.0/",  # panoramas in pixels, films and depths behind the picture
    "http://ns.adobe.com/hdr-gain-map/",
    "http://www.metadataworkinggroup.com/schemas/regions/",
)
"""Beginnings of namespaces of which nothing stays true: they describe parts of the file that are
not copied, or positions in the picture before it was turned and enlarged."""


class Rules(Protocol):
    """Decides on the parts of a packet. `inside` says whether a part is within a property."""

    def is_property(self, name: Name) -> bool:
        """Return whether an element or attribute is a reason to keep the packet."""
        ...

    def keeps(self, name: Name) -> bool:
        """Return whether an element is kept; what is in it goes with it."""
        ...

    def attribute(self, name: Name, value: str, inside: bool, /) -> str | None:
        """Return the value to write, None for an attribute that is dropped."""
        ...

    def declares(self, space: str, /) -> bool:
        """Return whether a namespace may be declared."""
        ...


class KeepTrue:
    """Keeps everything but what is untrue."""

    def is_property(self, name: Name) -> bool:
        return name.space not in (RDF, META)

    def keeps(self, name: Name) -> bool:
        untrue = name.local in _UNTRUE.get(name.space, ())
        return not (untrue or name.space.startswith(_UNTRUE_SPACES))

    def attribute(self, name: Name, value: str, _: bool, /) -> str | None:
        return value if self.keeps(name) else None

    def declares(self, _: str, /) -> bool:
        return True


class KeepRights:
    """Keeps what states author and licence."""

    def is_property(self, name: Name) -> bool:
        return name.local in _RIGHTS.get(name.space, ())

    def keeps(self, name: Name) -> bool:
        return name.space in (RDF, META) or self.is_property(name)

    def attribute(self, name: Name, value: str, inside: bool, /) -> str | None:
        if name == (RDF, "about"):
            return ""  # often the number of a document
        of_value = name in ((RDF, "resource"), (RDF, "parseType"), (XML, "lang"))
        return value if self.is_property(name) or (inside and of_value) else None

    def declares(self, space: str, /) -> bool:
        return space in (RDF, META) or space in _RIGHTS
