"""How long an answer to a link may be kept by browsers and CDNs, and what tells that it is the same
(RFC 9110, section 13.1.2; RFC 9111)."""

from __future__ import annotations

import hashlib
import re

from jobs.job import Reason, RunFacts

NARROWED = frozenset({Reason.BACKLOG, Reason.DEMAND, Reason.BEHIND, Reason.FLOOR})
"""Reasons of pictures that were made at a busy moment: they give way to a better one soon."""
NARROWED_SECONDS = 60
TAG = re.compile(r'(?:W/)?("[!#-~\x80-\xff]*")')


def max_age(left_s: float, most_s: float, facts: RunFacts | None) -> int:
    """Return the whole seconds for which a picture may be kept: not beyond its link."""
    narrowed = facts is not None and facts.reason in NARROWED
    return max(0, int(min(left_s, NARROWED_SECONDS if narrowed else most_s, most_s)))


def tag_of(picture: bytes) -> str:
    """Return the strong entity tag of a picture."""
    return f'"{hashlib.sha256(picture).hexdigest()[:32]}"'


def matches(header: str, tag: str) -> bool:
    """Return whether an If-None-Match header names a tag, compared weakly."""
    return header.strip() == "*" or tag in TAG.findall(header)
