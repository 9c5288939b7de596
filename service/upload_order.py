"""The body of POST /uploads, and its answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobs.errors import InvalidRequest
from jobs.uploads import NewUpload

MEDIA_TYPE = r"^(image/[a-z0-9][a-z0-9.+-]{0,63}|application/octet-stream)$"


class UploadOrder(BaseModel):
    """A picture that its caller is about to write."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, cache_strings="keys")

    bytes: Annotated[int, Field(ge=1)] = Field(
        description="Size of the file; the store takes no other.", examples=[181_542]
    )
    content_type: Annotated[str, Field(pattern=MEDIA_TYPE)] = Field(
        "application/octet-stream",
        description="Content type of the PUT: `image/…` or `application/octet-stream`. It is not "
        "believed; the file's header decides.",
    )


class UploadAnswer(BaseModel):
    """A place for a picture."""

    id: str = Field(description="For the parameter `upload` of `POST /upscale` and `/jobs`.")
    method: Literal["PUT"] = "PUT"
    url: str = Field(description="Where to send the picture, once. Whoever has it can do so.")
    headers: dict[str, str] = Field(
        description="Headers that the PUT must have, to the letter, and no `Authorization`.",
        examples=[{"Content-Type": "image/png", "Content-Length": "181542", "If-None-Match": "*"}],
    )
    valid_s: int = Field(description="Seconds for which URL and id can be used.")


def read_order(body: bytes) -> UploadOrder:
    """Return the order in a body. Raises InvalidRequest, which names the first fault."""
    try:
        return UploadOrder.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, fault["loc"]))
        text = f"{where}: {fault['msg']}" if where else f"The body must be JSON: {fault['msg']}"
        raise InvalidRequest(f"{text}.") from None


def upload_answer(upload: NewUpload) -> UploadAnswer:
    """Return the answer for a new upload."""
    return UploadAnswer(
        id=upload.id, url=upload.url, headers=dict(upload.headers), valid_s=upload.valid_s
    )
