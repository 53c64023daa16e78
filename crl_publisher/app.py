"""The web application that hands out what is published.

HTTP as in RFC 2585 4: GET and HEAD of one file each, with its media type, and validators so that
clients and caches ask again cheaply. Paths are matched without case, as IIS does, and a ``+`` (or
``%2B``) in a path is a plus sign.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from .settings import PublisherSettings

if TYPE_CHECKING:
    from .publication import FileSource

_log = structlog.get_logger(__name__)


def create_app(
    files: FileSource, *, virtual_directory: str = "/CertEnroll", settings: PublisherSettings | None = None
) -> Flask:
    """Return the application serving ``files`` under ``virtual_directory``."""
    chosen = settings or PublisherSettings()
    app = Flask(__name__, static_folder=None)
    prefix = f"{virtual_directory}/".casefold()

    @app.get("/", defaults={"path": ""})
    @app.get("/<path:path>")
    def serve(path: str) -> Response:
        asked = f"/{path}"
        file = files.find(asked[len(prefix) :]) if asked.casefold().startswith(prefix) else None
        if file is None:
            return _plain(f"Nothing is published at {asked}\n", 404)
        response = Response(file.content, mimetype=file.media_type)
        response.set_etag(file.etag)
        response.last_modified = file.modified
        if chosen.cache_seconds:
            response.cache_control.max_age = chosen.cache_seconds
        response.make_conditional(request.environ)
        return response

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        if isinstance(error, HTTPException):
            response = _plain(f"{error.name}\n", error.code or 500)
            response.headers.extend((name, value) for name, value in error.get_headers() if name in {"Allow"})
            return response
        _log.error("published files cannot be read", path=request.path, exc_info=error)
        return _plain("The published files cannot be read now\n", 503)

    return app


def _plain(text: str, status: int) -> Response:
    return Response(text, status=status, mimetype="text/plain")
