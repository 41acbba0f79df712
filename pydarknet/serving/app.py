# SPDX-License-Identifier: Apache-2.0
"""Addresses of the server, as OpenAPI describes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from importlib import resources
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pydarknet import __version__
from pydarknet.runs.page.server import asset
from pydarknet.serving.answers import COCO, DARKNET, JPEG, choose
from pydarknet.serving.guard import Guard
from pydarknet.serving.images import FIELDS
from pydarknet.serving.limits import LOWEST_THRESH, Refused
from pydarknet.serving.metrics import KIND
from pydarknet.serving.service import Service
from pydarknet.system.web_access import Access

DETECT = ("/invocations", "/models/model/invoke", "/v1/detect")
_PAGE = {
    "/": ("try.html", "text/html; charset=utf-8"),
    "/try.css": ("try.css", "text/css; charset=utf-8"),
    "/try.js": ("try.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_QUERY = ("thresh", "token")  # without a handler, which may know more
_SHARED = ("page.css", "icon.svg")  # with the page of a run


class DetectedObject(BaseModel):
    """One object: corners in pixels of the image, confidence 0..1, class."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float
    confidence: float
    class_: int = Field(alias="class")
    name: str


class Problem(BaseModel):
    """Why a request failed."""

    error: str


class Model(BaseModel):
    """The network and the limits of requests."""

    cfg: str
    names: list[str]
    width: int
    height: int
    channels: int
    backend: str
    precision: str
    batch: int
    thresh: float
    max_body_bytes: int
    max_pixels: int


_STRING: dict[str, Any] = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "properties": dict.fromkeys(FIELDS, _STRING)}
_BASE64 = {"type": "string", "contentEncoding": "base64", "description": "an image file; or its data URL"}
_BODY = {
    "required": True,
    "content": {
        "image/jpeg": {"schema": _STRING},
        "image/png": {"schema": _STRING},
        "image/webp": {"schema": _STRING},
        "image/bmp": {"schema": _STRING},
        "multipart/form-data": {"schema": _FORM},
        "application/json": {
            "schema": {"type": "object", "required": ["image"], "properties": {"image": _BASE64}}
        },
    },
}
_FORMS: dict[str, Any] = {
    DARKNET: {"schema": {"type": "object", "description": "a record of darknet detector test -out"}},
    COCO: {"schema": {"type": "array", "items": {"type": "object"}, "description": "COCO's results"}},
    JPEG: {"schema": {**_STRING, "description": "the image with boxes"}},
}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is not what its type says, or the image is damaged"},
    401: {"model": Problem, "description": "The token is missing"},
    406: {"model": Problem, "description": "None of the accepted types is available"},
    408: {"model": Problem, "description": "The body came too slowly"},
    413: {"model": Problem, "description": "The body or the image is too large"},
    415: {"model": Problem, "description": "The body is not an image"},
    503: {"model": Problem, "description": "Loading, or busy: try again after Retry-After seconds"},
}


def make_app(service: Service, access: Access) -> Guard:
    """The application.

    Args:
        service: answers requests; the application starts and closes it.
        access: whom the server answers.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield

    app = FastAPI(
        title="pydarknet",
        version=__version__,
        description="Objects in images. The page at / tries it; /metrics is for Prometheus.",
        docs_url=None,  # these load scripts from other servers
        redoc_url=None,
        lifespan=lifespan,
    )
    _add_detection(app, service)
    _add_facts(app, service)
    for path in _PAGE:
        app.add_api_route(path, _page, include_in_schema=False, methods=["GET", "HEAD"])
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    known = {*DETECT, *_PAGE, "/ping", "/v1/model", "/metrics", "/openapi.json"}

    def count(path: str, status: int, seconds: float) -> None:
        timed = seconds if path in DETECT else None
        service.metrics.request(path if path in known else "other", status, timed)

    return Guard(app, service.settings.limits, service.budget, access=access, count=count)


def _add_detection(app: FastAPI, service: Service) -> None:
    async def detect(
        request: Request,
        thresh: Annotated[
            float | None,
            Query(ge=LOWEST_THRESH, le=1, description="Confidence above which an object is reported"),
        ] = None,
    ) -> Response:
        """Detect objects in an image.

        The answer is a list of records; the header `Accept` chooses Darknet's JSON, COCO's results or the
        image with boxes.
        """
        form = choose(request.headers.get("accept"))
        unknown = request.query_params.keys() - _QUERY
        if unknown and service.settings.handler is None:
            raise Refused(400, f"found ?{min(unknown)}=, expected ?thresh=")
        service.loaded()
        body = b"".join([part async for part in request.stream()])  # not kept by the request, as body() is
        kind = request.headers.get("content-type", "")
        found = await service.answer(body, kind, form, thresh, request.query_params)
        return Response(found, media_type=form)

    for path in DETECT:
        app.add_api_route(
            path,
            detect,
            methods=["POST"],
            summary="Detect objects in an image",
            operation_id="detect" + path.replace("/", "_"),
            response_class=Response,
            responses={
                200: {"model": list[DetectedObject], "content": _FORMS, "description": "Objects"},
                **_PROBLEMS,
            },
            openapi_extra={"requestBody": _BODY},
        )


def _add_facts(app: FastAPI, service: Service) -> None:
    @app.head("/ping", include_in_schema=False)
    @app.get("/ping", responses={503: _PROBLEMS[503]})
    async def ping() -> dict[str, str]:
        """Whether the network is loaded: 200, or 503 until then; needs no token."""
        service.loaded()
        return {"status": "ok"}

    @app.get("/v1/model", responses={503: _PROBLEMS[503]})
    async def model() -> Model:
        """The network and the limits of requests."""
        return Model(**facts(service))

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Metrics for Prometheus."""
        return Response(service.metrics.text(), headers={"content-type": KIND})


def facts(service: Service) -> dict[str, Any]:
    """Facts about the network and the limits of requests; the content of ``/v1/model``."""
    network, info, settings = service.loaded(), service.info, service.settings
    return {
        "cfg": network.cfg.rpartition("/")[2],
        "names": list(network.names),
        **{
            name: getattr(info, name)
            for name in ("width", "height", "channels", "backend", "precision", "batch")
        },
        "thresh": settings.detecting["thresh"],
        "max_body_bytes": settings.limits.body,
        "max_pixels": settings.limits.pixels,
    }


@cache
def _file(name: str) -> str:
    if name in _SHARED:
        return asset(name)
    return resources.files("pydarknet.serving.page").joinpath(name).read_text("utf-8")


async def _page(request: Request) -> Response:
    name, kind = _PAGE[request.url.path]
    return Response(_file(name), headers={"content-type": kind})


async def _refused(_: Request, error: Any) -> Response:
    return JSONResponse({"error": str(error)}, error.status, error.headers)


async def _failed(_: Request, error: Any) -> Response:
    expected = f"; expected {error.headers['Allow']}" if error.status_code == 405 else ""
    return JSONResponse({"error": str(error.detail).lower() + expected}, error.status_code, error.headers)


async def _invalid(_: Request, error: Any) -> Response:
    first = error.errors()[0]
    return JSONResponse({"error": f"{first['loc'][-1]}: {first['msg']}"}, 400)


async def _gone(_: Request, error: Any) -> Response:  # noqa: ARG001
    return Response(status_code=400)


async def _defect(_: Request, error: Any) -> Response:
    # uvicorn ends the connection after an exception, so no client may send its next request on it.
    return JSONResponse({"error": f"the server failed: {type(error).__name__}"}, 500, {"connection": "close"})


_HANDLERS: dict[Any, Callable[[Request, Any], Any]] = {
    Refused: _refused,
    HTTPException: _failed,
    RequestValidationError: _invalid,
    ClientDisconnect: _gone,
    Exception: _defect,
}
