"""The model, and its version, in a path of the protocol."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Path
from starlette.exceptions import HTTPException

from jobs.job import requirement_of
from scheduling.request import shown
from service.gateway import GatewayDep
from service.inference.protocol import AUTOMATIC, VERSION

Name = Annotated[
    str,
    Path(description=f"A name from `GET /models`, or `{AUTOMATIC}`: the service chooses."),
]


class ModelName(str):
    """The name of a model in the catalog, or AUTOMATIC."""

    @property
    def chosen(self) -> str | None:
        """The model that a request asks for; None where the service chooses."""
        return None if self == AUTOMATIC else str(self)

    @property
    def requirement(self) -> str:
        """The capability that a worker must have to run it."""
        return requirement_of(self.chosen)


async def model_name(name: Name, gateway: GatewayDep) -> ModelName:
    """Return the model of a path. Raises HTTPException 404 if there is none of this name."""
    names = (AUTOMATIC, *gateway.catalogs.catalog.names)
    if name not in names:
        text = f"There is no model {shown(name)}; there are {', '.join(names)}."
        raise HTTPException(HTTPStatus.NOT_FOUND, text)
    return ModelName(name)


async def known_version(version: str) -> None:
    """Raise HTTPException 404 for another version than the only one."""
    if version != VERSION:
        text = f"There is no version {shown(version)}; every model has the version {VERSION}."
        raise HTTPException(HTTPStatus.NOT_FOUND, text)


ModelDep = Annotated[ModelName, Depends(model_name)]
"""Parameter of a route that FastAPI fills with the model in its path."""
VERSIONED = [Depends(known_version)]
"""Dependencies of a route with a version in its path."""
