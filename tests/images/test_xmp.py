"""XMP packets: filtered by the names of their properties, and bounded, whatever they hold."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.metadata.xmp import MAX_BYTES, MAX_ELEMENTS, cleaned, rights, stating
from tests.support.marked_pictures import XMP_NOTICE, XMP_TITLE, packet

NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "cc": "http://creativecommons.org/ns#",
    "plus": "http://ns.useplus.org/ldf/xmp/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "GPano": "http://ns.google.com/photos/1.0/panorama/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "mine": "http://example.org/mine/",
}
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


def with_properties(elements: str = "", attributes: str = "") -> bytes:
    """Return a packet of one description."""
    spaces = " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in NAMESPACES.items())
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">'
        f'<rdf:Description rdf:about="" {spaces} {attributes}>{elements}</rdf:Description>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def tree(written: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(written)


def test_what_stays_true_is_kept_as_it_is() -> None:
    elements = (
        "<dc:title>A &amp; B &lt;i&gt; <![CDATA[<c>]]></dc:title>"
        '<mine:own rdf:parseType="Resource"><mine:inner xml:lang="de">ü</mine:inner></mine:own>'
    )
    attributes = 'mine:quoted=\'"&#10;&lt;\' exif:GPSLatitude="48,8N"'
    kept, source = (
        tree(cleaned(with_properties(elements, attributes))),
        tree(with_properties(elements, attributes)),
    )
    assert ElementTree.tostring(kept) == ElementTree.tostring(source)


@pytest.mark.parametrize(
    ("elements", "attributes"),
    [
        ("<tiff:Orientation>6</tiff:Orientation>", ""),
        ("", 'tiff:Orientation="6"'),
        ("<exif:PixelXDimension>40</exif:PixelXDimension>", ""),
        ("<mwg-rs:Regions><rdf:Bag><rdf:li>A face</rdf:li></rdf:Bag></mwg-rs:Regions>", ""),
        ("", 'GPano:FullPanoWidthPixels="4000"'),
        ("", 'xmpNote:HasExtendedXMP="0123"'),
    ],
)
def test_what_becomes_untrue_goes(elements: str, attributes: str) -> None:
    assert cleaned(with_properties(elements, attributes)) == b""
    other = "<dc:title>A title</dc:title>"
    assert cleaned(with_properties(elements + other, attributes)) == cleaned(with_properties(other))


def test_a_name_counts_by_its_namespace_and_not_by_its_prefix() -> None:
    space = NAMESPACES["tiff"]
    other = f'<t:Orientation xmlns:t="{space}">6</t:Orientation>'
    default = f'<Orientation xmlns="{space}">6</Orientation>'
    same_prefix = '<tiff:Orientation xmlns:tiff="http://example.org/">6</tiff:Orientation>'
    assert cleaned(with_properties(other + default)) == b""
    assert b"<tiff:Orientation" in cleaned(with_properties(same_prefix))


def test_rights_are_kept_alone() -> None:
    written = rights(packet(6))
    assert XMP_NOTICE.encode() in written
    for word in (XMP_TITLE, "GPS", "Orientation", "uuid:1", "a program"):
        assert word.encode() not in written
    tree(written)


@pytest.mark.parametrize(
    "elements",
    [
        "<dc:creator><rdf:Seq><rdf:li>KEPT</rdf:li></rdf:Seq></dc:creator>",
        "<xmpRights:WebStatement>KEPT</xmpRights:WebStatement>",
        '<cc:license rdf:resource="KEPT"/>',
        "<plus:Licensor><rdf:Seq><rdf:li><rdf:Description><plus:LicensorURL>KEPT</plus:LicensorURL>"
        "<plus:LicensorEmail>GONE</plus:LicensorEmail></rdf:Description></rdf:li></rdf:Seq>"
        "</plus:Licensor>",
        '<plus:Licensor plus:LicensorName="KEPT" plus:LicensorTelephone1="GONE"/>',
        "<dc:rights>KEPT<mine:own>GONE</mine:own></dc:rights><dc:subject>GONE</dc:subject>GONE",
        '<dc:rights mine:own="GONE">KEPT</dc:rights><mine:a><dc:rights>GONE</dc:rights></mine:a>',
        '<Iptc4xmpCore:CreatorContactInfo Iptc4xmpCore:CiEmailWork="GONE"/>'
        "<dc:rights>KEPT</dc:rights>",
    ],
)
def test_rights_have_no_company(elements: str) -> None:
    written = rights(with_properties(elements, 'mine:own="GONE"'))
    assert b"KEPT" in written
    assert b"GONE" not in written
    assert NAMESPACES["mine"].encode() not in written
    tree(written)


def test_rights_may_be_attributes() -> None:
    written = rights(with_properties("", 'xmpRights:Marked="True" tiff:Make="GONE"'))
    assert b'xmpRights:Marked="True"' in written
    assert b"GONE" not in written


@pytest.mark.parametrize(
    "hostile",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]>' + packet(),
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + packet(),
        packet().replace(b"</rdf:RDF>", b""),
        packet().replace(XMP_TITLE.encode(), b"&lol;"),
        packet().replace(XMP_TITLE.encode(), b"\xff\xfe"),
        packet().decode().encode("utf-16"),
        b"<svg xmlns='http://www.w3.org/2000/svg'><title>no packet</title></svg>",
        b"",
        b"\0" * 100,
        packet() + b"<again/>",
        with_properties("<mine:a/>" * MAX_ELEMENTS + "<dc:rights>A</dc:rights>"),
        with_properties("<dc:title>" + "x" * MAX_BYTES + "</dc:title>"),
        with_properties("<dc:title>" + ">" * (MAX_BYTES // 2) + "</dc:title>"),
    ],
)
def test_other_packets_are_dropped(hostile: bytes) -> None:
    assert cleaned(hostile) == rights(hostile) == b""


def test_a_packet_may_be_deep() -> None:
    deep = MAX_ELEMENTS - 10
    made = with_properties("<mine:a>" * deep + "</mine:a>" * deep)
    assert cleaned(made).count(b"<mine:a>") == deep
    assert rights(made) == b""


def test_padding_and_a_mark_of_the_encoding_are_no_part_of_it() -> None:
    made = with_properties("<dc:title>A</dc:title>")
    assert cleaned(b"\xef\xbb\xbf" + made + b" \n" * 2000 + b"\0") == cleaned(made)


@given(st.lists(st.text(max_size=20), max_size=3), st.text(max_size=20))
def test_any_names_are_stated(creators: list[str], notice: str) -> None:
    written = stating(creators, notice)
    if written:
        tree(written)
    plain = notice.isalnum() and notice.isascii()
    assert not plain or notice.encode() in written


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=8))
def test_any_packet_is_dropped_or_well_formed(changes: list[tuple[int, int]]) -> None:
    data = bytearray(packet(6))
    for at, value in changes:
        data[at % len(data)] = value
    for written in (cleaned(bytes(data)), rights(bytes(data))):
        if written:
            tree(written)
            assert cleaned(written) == written
