"""The names by which containers mark metadata."""

from __future__ import annotations

XMP_OF_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
PHOTOSHOP_OF_JPEG = b"Photoshop 3.0\0"
"""At the beginning of segments."""
XMP_OF_PNG = "XML:com.adobe.xmp"
COMMENT = "Comment"
"""Keywords of texts; the second also stands for a JPEG's comments, which have none."""
XMP_TYPE = b"application/rdf+xml"
"""Type of an item's content in HEIF."""
