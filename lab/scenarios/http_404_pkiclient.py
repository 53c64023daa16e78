"""HTTP 404, because nobody routes /pkiclient.exe.

A Windows device does not call the URL of its profile: it appends /pkiclient.exe to it. IIS hands that to
mscep.dll together with the rest of the path, so with NDES nobody notices. A reverse proxy that publishes
the one path that was written down, or a SCEP server that knows only its own, answers 404. Whoever tries the
URL with a browser, curl or another client finds it working.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from lab.http_exchange import http_exchange

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import BEFORE_THE_REQUEST, LEARN_DEVICE, MICROMDM_404

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from .engine.stage import Stage


class ReverseProxy:
    """Hands requests on to a server, those for some paths only."""

    def __init__(self, target: str) -> None:
        self._target = target
        self.paths = {"/scep"}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path = environ["PATH_INFO"]
        if path not in self.paths:
            start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "0")])
            return []
        url = f"{self._target}{path.removeprefix('/scep')}?{environ['QUERY_STRING']}"
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        kind = {"Content-Type": environ["CONTENT_TYPE"]} if body else {}
        reply = http_exchange(environ["REQUEST_METHOD"], url, body=body or None, headers=kind)
        headers = [("Content-Type", reply.media_type), ("Content-Length", str(len(reply.body)))]
        start_response(f"{reply.status} {HTTPStatus(reply.status).phrase}", headers)
        return [reply.body]


def set_the_stage(stage: Stage) -> None:
    """A reverse proxy publishes the server, under exactly the path that the profile names."""
    proxy = ReverseProxy(stage.lab.url)
    listener = stage.serve(proxy, name="reverse proxy")
    stage.device.url = f"http://127.0.0.1:{listener.port}/scep"
    stage.props["proxy"] = proxy


def apply_the_cure(stage: Stage) -> None:
    """The proxy's rule takes in what follows the path as well."""
    proxy = stage.props["proxy"]
    proxy.paths.add("/scep/pkiclient.exe")


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x80190194, HTTP 404; nothing at NDES",
    in_the_field=(
        Sighting(
            where="device, event 307",
            text="... with NDES Server '<url>/pkiclient.exe', CA cert thumbprint '...' and server certs ''. "
            "LogError 0x80190194",
            source=MICROMDM_404,
        ),
        *BEFORE_THE_REQUEST,
        Sighting(
            where="IIS log of a server that is asked",
            text="GET /certsrv/mscep/mscep.dll/pkiclient.exe operation=GetCACaps&message=default",
            source=LEARN_DEVICE,
        ),
    ),
    failure=Failure(ending=Ending.HTTP_STATUS, hresult=0x80190194, http_status=404),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=("curl --head http://127.0.0.1:8080/scep/pkiclient.exe?operation=GetCACaps",),
    on_windows=(
        "Publish /certsrv/mscep/* at the proxy or application gateway, and not /certsrv/mscep/mscep.dll "
        "alone.",
        "Try the URL as the device does: curl -i https://NDES/certsrv/mscep/mscep.dll/pkiclient.exe?"
        "operation=GetCACaps^&message=default",
    ),
)
