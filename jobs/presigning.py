"""URLs by which a caller may send one request to an S3 store: AWS Signature Version 4, in the query
(docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html).

obstore signs URLs too, but no headers, and only signed headers bind a request to a size and a
content type.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlencode, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE, END = "s3", "aws4_request"


@dataclass(frozen=True)
class Key:
    """An access key, and the region in which it signs."""

    id: str
    secret: str = field(repr=False)
    region: str


def presigned(
    method: str,
    url: str,
    headers: Mapping[str, str],
    key: Key,
    valid_s: int,
    now: datetime | None = None,
) -> str:
    """Return a URL without query, http(s), signed for `valid_s` seconds from `now`, by default the
    present. The request must have exactly these headers, and may have others."""
    parts = urlsplit(url)
    signed = {name.lower(): value.strip() for name, value in headers.items()} | {
        "host": parts.netloc
    }
    names = ";".join(sorted(signed))
    moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{key.region}/{SERVICE}/{END}"
    query = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{key.id}/{scope}",
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(valid_s),
        "X-Amz-SignedHeaders": names,
    }
    path, text = quote(parts.path, safe="/~"), urlencode(query, quote_via=quote, safe="~")
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    request = "\n".join((method, path, text, lines, names, "UNSIGNED-PAYLOAD"))
    digest = hashlib.sha256(request.encode()).hexdigest()
    signature = _signature("\n".join((ALGORITHM, moment, scope, digest)), scope, key)
    return f"{parts.scheme}://{parts.netloc}{path}?{text}&X-Amz-Signature={signature}"


def _signature(text: str, scope: str, key: Key) -> str:
    secret = f"AWS4{key.secret}".encode()
    for part in scope.split("/"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    return hmac.digest(secret, text.encode(), "sha256").hex()
