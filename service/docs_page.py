"""GET /docs: Swagger UI for the OpenAPI description, with all files from this server."""

from __future__ import annotations

import base64
import hashlib
import re

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

ASSETS = "/docs/assets"
INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
NO_VALIDATOR = {"validatorUrl": None}
"""Without this, Swagger UI sends the description to swagger.io to show a badge."""


def swagger_files() -> StaticFiles:
    """Return the application that serves Swagger UI's files, to be mounted at ASSETS."""
    return StaticFiles(packages=[("fastapi_swagger", "resources")])


async def docs_page(request: Request) -> HTMLResponse:
    """Return the HTML page, with a Content-Security-Policy that allows only its own scripts."""
    root = request.scope.get("root_path", "").rstrip("/")
    page = get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title="AnySR Serve",
        swagger_js_url=f"{root}{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{ASSETS}/swagger-ui.css",
        swagger_favicon_url="data:,",
        swagger_ui_parameters=NO_VALIDATOR,
    )
    return HTMLResponse(page.body, headers={"Content-Security-Policy": _policy(bytes(page.body))})


def _policy(page: bytes) -> str:
    scripts = INLINE_SCRIPT.findall(page.decode())
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'self'; script-src 'self' {hashes}; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; "
        "frame-ancestors 'none'"
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
