"""XMP packets (ISO 16684-1): parsed within bounds, and written again without what is dropped.

A packet is XML of others. Expat reads it as a stream of events, so that no tree is built; a packet
with a document type, which entities need, is dropped, and so is one that is not well-formed.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.parsers import expat

from images.metadata.xmp_rules import DC, META, RDF, KeepRights, KeepTrue, Name, Rules

MAX_BYTES = 1 << 18
"""Of a packet that is read, and of one that is written."""
MAX_ELEMENTS = 10_000
"""Of a packet; each takes 4 microseconds."""
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_END = '<?xpacket end="w"?>'
_SEPARATOR = "\x01"
"""Between the parts of a name as Expat hands it on: a character that XML cannot contain."""
_PADDING = b"\0\t\r\n "

# Not xml.sax.saxutils: it imports urllib.request and ssl, 3 MB in every process.
_IN_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_IN_ATTRIBUTE = _IN_TEXT | str.maketrans({'"': "&quot;", "\t": "&#9;", "\n": "&#10;"})


def cleaned(packet: bytes) -> bytes:
    """Return a packet without what a larger, upright picture makes untrue; b"" if nothing is left,
    and for one that cannot be read or has more than MAX_BYTES."""
    return _filtered(packet, KeepTrue())


def rights(packet: bytes) -> bytes:
    """Return a packet with author, copyright and licence alone, b"" where it has none of them."""
    return _filtered(packet, KeepRights())


def stating(creators: Sequence[str], copyright_notice: str) -> bytes:
    """Return a packet that names creators and a copyright notice, where there are any."""
    named = "".join(f"<rdf:li>{_text(creator)}</rdf:li>" for creator in creators)
    creator = f"<dc:creator><rdf:Seq>{named}</rdf:Seq></dc:creator>" if named else ""
    item = f'<rdf:li xml:lang="x-default">{_text(copyright_notice)}</rdf:li>'
    notice = f"<dc:rights><rdf:Alt>{item}</rdf:Alt></dc:rights>" if copyright_notice else ""
    if not creator + notice:
        return b""
    described = f'<rdf:Description rdf:about="" xmlns:dc="{DC}">{creator}{notice}'
    root = f'<x:xmpmeta xmlns:x="{META}"><rdf:RDF xmlns:rdf="{RDF}">{described}</rdf:Description>'
    return rights(f"{root}</rdf:RDF></x:xmpmeta>".encode())


def _text(value: str) -> str:
    """Return a value as XML, without the characters that XML cannot contain."""
    kept = "".join(c for c in value if (c >= " " or c in "\t\n\r") and c < "\ufffe")
    return kept.translate(_IN_TEXT)


def _quoted(value: str) -> str:
    """Return a value as an attribute's, in quotes."""
    return f'"{value.translate(_IN_ATTRIBUTE)}"'


def _filtered(packet: bytes, rules: Rules) -> bytes:
    if not 0 < len(packet) <= MAX_BYTES:
        return b""
    written = _Filter(rules)
    try:
        written.parser.Parse(packet.lstrip(_PADDING + b"\xef\xbb\xbf").rstrip(_PADDING), True)
    except (expat.ExpatError, _Refused):
        return b""
    return written.result()


class _Refused(Exception):
    """The packet is not what XMP may be."""


class _Filter:
    """Writes the elements of a packet that rules keep, as they are parsed."""

    def __init__(self, rules: Rules) -> None:
        self.parser = expat.ParserCreate("utf-8", _SEPARATOR)
        self.parser.namespace_prefixes = True
        self.parser.ordered_attributes = True
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartNamespaceDeclHandler = self._declare
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self._rules = rules
        self._parts: list[str] = []
        self._declared: list[tuple[str, str]] = []
        """Prefixes and namespaces that the next element declares."""
        self._open: list[tuple[str, bool]] = []
        """The open elements that are kept, and whether each is a property or inside one."""
        self._dropped = 0
        """Number of open elements from the outermost dropped one on."""
        self._left = MAX_ELEMENTS
        self._found = False

    def result(self) -> bytes:
        """Return the packet, b"" if it has no property."""
        packet = "".join((_BEGIN, *self._parts, _END)).encode()
        return packet if self._found and len(packet) <= MAX_BYTES else b""

    def _refuse(self, *_: object) -> None:
        raise _Refused

    def _declare(self, prefix: str | None, space: str | None) -> None:
        self._declared.append((prefix or "", space or ""))

    def _start(self, tag: str, attributes: list[str]) -> None:
        declared, self._declared = self._declared, []
        self._left -= 1
        name, shown = _split(tag)
        is_root = not self._open and not self._dropped
        if not self._left or (is_root and name.space not in (META, RDF)):
            raise _Refused
        if self._dropped or not self._rules.keeps(name):
            self._dropped += 1
            return
        inside = (bool(self._open) and self._open[-1][1]) or self._rules.is_property(name)
        self._found = self._found or inside
        self._open.append((shown, inside))
        self._parts.append(f"<{shown}{self._declarations(declared)}")
        for pair in zip(attributes[::2], attributes[1::2], strict=True):
            self._attribute(*pair, inside)
        self._parts.append(">")

    def _declarations(self, declared: list[tuple[str, str]]) -> str:
        return "".join(
            f" xmlns{':' if prefix else ''}{prefix}={_quoted(space)}"
            for prefix, space in declared
            if self._rules.declares(space)
        )

    def _attribute(self, tag: str, value: str, inside: bool) -> None:
        name, shown = _split(tag)
        kept = self._rules.attribute(name, value, inside)
        if kept is not None:
            self._found = self._found or self._rules.is_property(name)
            self._parts.append(f" {shown}={_quoted(kept)}")

    def _end(self, _: str) -> None:
        if self._dropped:
            self._dropped -= 1
        else:
            self._parts.append(f"</{self._open.pop()[0]}>")

    def _characters(self, text: str) -> None:
        if not self._dropped and self._open and self._open[-1][1]:
            self._parts.append(text.translate(_IN_TEXT))


def _split(tag: str) -> tuple[Name, str]:
    """Return a name, and the same with its prefix as it is written. Expat hands on namespace, local
    name and prefix, and leaves out what a name has not."""
    parts = tag.split(_SEPARATOR)
    space, local = parts[:2] if len(parts) > 1 else ("", tag)
    return Name(space, local), ":".join((*parts[2:], local))
