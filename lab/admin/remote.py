"""The desk of a running lab, over its management listener."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from .answers import read_model, read_models
from .desk import DeskError, DeskRefused, DeskUnavailable, Invalid, NotFound
from .models import (
    BulkView,
    CertificatePage,
    CertificateView,
    ChallengeView,
    CrlView,
    NewChallengeView,
    RequestView,
    RevokedView,
)
from .ndes_remote import RemoteNdesDesk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ca.records import RequestStatus
    from lab.health.report import HealthReport

    from .models import (
        BulkOrder,
        CertificateQuery,
        ChallengeOrder,
        CrlOrder,
        DenialOrder,
        RevocationOrder,
    )

_TIMEOUT_SECONDS = 60
_ERRORS: dict[int, type[DeskError]] = {
    error.status: error for error in (Invalid, NotFound, DeskRefused, DeskUnavailable)
}


class RemoteDesk:
    """Speaks to the management API at ``url``.

    Raises:
        Invalid: ``url`` is no http URL.

    """

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        try:
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError as error:
            raise Invalid(f"{url!r} is no URL of a management listener: {error}") from error
        if parts.scheme not in ("http", "https") or not self._host:
            raise Invalid(f"{url!r} is no URL of a management listener, expected http://host:port")
        self._url = url
        self._scheme = parts.scheme
        self._base = parts.path.rstrip("/")
        self._token = token
        self.ndes = RemoteNdesDesk(self._call)

    def new_challenge(self, order: ChallengeOrder) -> NewChallengeView:
        """Make a challenge; the only time its password is seen."""
        sent = order.model_dump(mode="json", exclude={"password"})
        if order.password is not None:
            sent["password"] = order.password.get_secret_value()
        return read_model(NewChallengeView, self._call("POST", "/api/v1/challenges", sent))

    def challenges(self, *, usable_only: bool = False) -> Sequence[ChallengeView]:
        """Return the challenges, oldest first."""
        answer = self._call("GET", "/api/v1/challenges?" + urlencode({"usable": str(usable_only).lower()}))
        return read_models(ChallengeView, answer, "challenges")

    def revoke_challenge(self, challenge_id: int) -> ChallengeView:
        """Revoke a challenge that is neither spent nor revoked."""
        return read_model(ChallengeView, self._call("DELETE", f"/api/v1/challenges/{challenge_id}"))

    def certificates(self, query: CertificateQuery) -> CertificatePage:
        """Return one page of the certificates that match, oldest first."""
        asked = urlencode(query.model_dump(mode="json", exclude_none=True))
        return read_model(CertificatePage, self._call("GET", f"/api/v1/certificates?{asked}"))

    def certificate(self, selector: str) -> CertificateView:
        """Return one certificate."""
        return read_model(
            CertificateView, self._call("GET", f"/api/v1/certificates/{quote(selector, safe='')}")
        )

    def revoke_certificate(self, selector: str, order: RevocationOrder) -> RevokedView:
        """Revoke a certificate, or take it off hold, and publish a CRL that says so."""
        path = f"/api/v1/certificates/{quote(selector, safe='')}/revoke"
        return read_model(RevokedView, self._call("POST", path, order.model_dump(mode="json")))

    def revoke_many(self, order: BulkOrder) -> BulkView:
        """Revoke all, or none; nothing is published."""
        sent = order.model_dump(mode="json", exclude_defaults=True) | {"dry_run": order.dry_run}
        return read_model(BulkView, self._call("POST", "/api/v1/revocations", sent))

    def requests(self, status: RequestStatus | None = None) -> Sequence[RequestView]:
        """Return the requests for approval, oldest first."""
        asked = "" if status is None else "?" + urlencode({"status": status.value})
        return read_models(RequestView, self._call("GET", f"/api/v1/requests{asked}"), "requests")

    def approve(self, request_id: int) -> CertificateView:
        """Approve a pending request and issue its certificate."""
        return read_model(CertificateView, self._call("POST", f"/api/v1/requests/{request_id}/approve"))

    def deny(self, request_id: int, order: DenialOrder) -> RequestView:
        """Deny a pending request."""
        path = f"/api/v1/requests/{request_id}/deny"
        return read_model(RequestView, self._call("POST", path, order.model_dump(mode="json")))

    def crls(self, *, pem: bool = False) -> Sequence[CrlView]:
        """Return the published CRLs."""
        asked = "?" + urlencode({"pem": "true"}) if pem else ""
        return read_models(CrlView, self._call("GET", f"/api/v1/crls{asked}"), "crls")

    def publish_crls(self, order: CrlOrder | None = None) -> Sequence[CrlView]:
        """Sign and publish new CRLs of the issuing CA; return all that are published."""
        sent = None if order is None else order.model_dump(mode="json")
        return read_models(CrlView, self._call("POST", "/api/v1/crls", sent), "crls")

    def health(self) -> HealthReport:
        """Have the lab look at its PKI, and return what it found."""
        from lab.health.report import HealthReport

        return read_model(HealthReport, self._call("GET", "/api/v1/health"))

    def close(self) -> None:
        """Do nothing: each call has a connection of its own."""

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        kind = http.client.HTTPSConnection if self._scheme == "https" else http.client.HTTPConnection
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        sent = None if body is None else json.dumps(body).encode()
        with closing(kind(self._host, self._port, timeout=_TIMEOUT_SECONDS)) as connection:
            try:
                connection.request(method, self._base + path, sent, headers)
                response = connection.getresponse()
                status, content = response.status, response.read()
            except (OSError, http.client.HTTPException) as error:
                raise DeskUnavailable(
                    f"no lab answers at {self._url} ({error}); start one with `ndes-lab up`, or name one "
                    "with --ready-file, --admin-url or --data-dir"
                ) from error
        return self._answer(status, content)

    def _answer(self, status: int, content: bytes) -> Any:
        try:
            answer = json.loads(content)
            if 200 <= status < 300:
                return answer
            code, message = str(answer["error"]["code"]), str(answer["error"]["message"])
        except (ValueError, KeyError, TypeError) as error:
            raise DeskUnavailable(f"what answers at {self._url} is no lab (HTTP {status})") from error
        if status == 401:
            raise DeskUnavailable(
                f"the lab at {self._url} wants a bearer token: give --ready-file, or set "
                "NDES_LAB_ADMIN__TOKEN"
            )
        raise _ERRORS.get(status, DeskUnavailable)(message, code)
