"""The web application that hands out what is published, and carries OCSP.

HTTP as in RFC 2585 4: GET and HEAD of one file each, with its media type, validators so that
clients and caches ask again cheaply, and byte ranges. Paths are matched without case, as IIS does,
and a ``+`` (or ``%2B``) in a path is a plus sign.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from .conditional import Representation, respond
from .ocsp import answer_ocsp, is_ocsp_path
from .settings import PublisherSettings

if TYPE_CHECKING:
    from .ocsp import OcspResponder
    from .publication import FileSource

_log = structlog.get_logger(__name__)


def create_app(
    files: FileSource,
    *,
    virtual_directory: str = "/CertEnroll",
    settings: PublisherSettings | None = None,
    responder: OcspResponder | None = None,
) -> Flask:
    """Return the application serving ``files`` under ``virtual_directory``, and OCSP if somebody answers."""
    chosen = settings or PublisherSettings()
    app = Flask(__name__, static_folder=None)
    prefix = f"{virtual_directory}/".casefold()

    @app.before_request
    def answer() -> Response | None:
        if responder is None or not is_ocsp_path(request.environ.get("PATH_INFO", "")):
            return None
        return answer_ocsp(responder, request.environ)

    @app.get("/", defaults={"path": ""})
    @app.get("/<path:path>")
    def serve(path: str) -> Response:
        asked = f"/{path}"
        file = files.find(asked[len(prefix) :]) if asked.casefold().startswith(prefix) else None
        if file is None:
            return _plain(f"Nothing is published at {asked}\n", 404)
        representation = Representation(
            content=file.content, media_type=file.media_type, etag=file.etag, modified=file.modified
        )
        response = respond(request.environ, representation)
        if chosen.cache_seconds:
            response.cache_control.max_age = chosen.cache_seconds
        return response

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        if isinstance(error, HTTPException):
            response = _plain(f"{error.name}\n", error.code or 500)
            response.headers.extend((name, value) for name, value in error.get_headers() if name in {"Allow"})
            return response
        _log.error("request failed", path=request.path, exc_info=error)
        return _plain("What is published cannot be read now\n", 503)

    return app


def _plain(text: str, status: int) -> Response:
    return Response(text, status=status, mimetype="text/plain")
