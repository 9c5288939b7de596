"""GET /docs: Swagger UI, the one page that may load scripts from elsewhere, and only these."""

from __future__ import annotations

import base64
import hashlib
import re

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import HTMLResponse

ASSETS = "https://cdn.jsdelivr.net"
INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


async def docs_page(request: Request) -> HTMLResponse:
    """Return the page that shows the OpenAPI description."""
    root = request.scope.get("root_path", "").rstrip("/")
    page = get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json", title="AnySR Serve", swagger_favicon_url="data:,"
    )
    return HTMLResponse(page.body, headers={"Content-Security-Policy": _policy(bytes(page.body))})


def _policy(page: bytes) -> str:
    scripts = INLINE_SCRIPT.findall(page.decode())
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'self'; script-src {ASSETS} {hashes}; "
        f"style-src {ASSETS} 'unsafe-inline'; img-src 'self' blob: data: {ASSETS}"
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
