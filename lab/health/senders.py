"""Telling somebody: by webhook and by mail, in a thread of its own, within bounded time, with retries.

Does not live here: what is told (`alerts`).
"""

from __future__ import annotations

import contextlib
import json
import queue
import smtplib
import ssl
import threading
from datetime import timedelta
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

import structlog

from lab.http_exchange import HttpFailure, HttpLimits, http_exchange

from .alerts import AlertStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .alerts import Alert
    from .settings import AlertSettings, MailSettings

_log = structlog.get_logger(__name__)
_LONGEST_QUEUE: Final = 100
_SMALL: Final = 64 * 1024


class NotSent(Exception):
    """Nobody was told; the text says why, without a secret."""


class Sender(Protocol):
    """One way to tell somebody."""

    name: str

    def send(self, alerts: Sequence[Alert]) -> None:
        """Tell; raises NotSent."""


class WebhookSender:
    """POSTs alerts as Prometheus' Alertmanager does (webhook version 4)."""

    name = "webhook"

    def __init__(self, url: str, timeout: timedelta) -> None:
        self._url = url
        self._limits = HttpLimits(timeout=timeout, size=_SMALL)

    def send(self, alerts: Sequence[Alert]) -> None:
        """POST; any 2xx is success."""
        body = json.dumps(payload(alerts)).encode()
        host = urlsplit(self._url).hostname  # the rest of the URL may be a secret
        headers = {"Content-Type": "application/json"}
        try:
            reply = http_exchange(
                "POST",
                self._url,
                body=body,
                headers=headers,
                limits=self._limits,
            )
        except HttpFailure as error:
            raise NotSent(f"the webhook at {host} failed: {error.hresult.text}") from error
        if not 200 <= reply.status < 300:
            raise NotSent(f"the webhook at {host} answered HTTP {reply.status}")


def payload(alerts: Sequence[Alert]) -> dict[str, Any]:
    """Return the JSON body."""
    firing = any(alert.status is AlertStatus.FIRING for alert in alerts)
    return {
        "version": "4",
        "receiver": "ndes-lab",
        "status": (AlertStatus.FIRING if firing else AlertStatus.RESOLVED).value,
        "alerts": [
            {
                "status": alert.status.value,
                "labels": {
                    "alertname": alert.condition.name,
                    "severity": alert.condition.severity,
                    **alert.condition.labels,
                },
                "annotations": {"summary": alert.condition.summary},
                "startsAt" if alert.status is AlertStatus.FIRING else "endsAt": alert.at.isoformat(),
                "fingerprint": alert.condition.key,
            }
            for alert in alerts
        ],
    }


class MailSender:
    """Sends one mail a notification, over TLS if so configured; never without it then."""

    name = "mail"

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings

    def send(self, alerts: Sequence[Alert]) -> None:
        """Send."""
        try:
            self._send(_message(alerts, self._settings))
        except (OSError, smtplib.SMTPException, ValueError) as error:
            # An answer of the server may quote what it was sent: its class and code say enough.
            code = getattr(error, "smtp_code", "")
            raise NotSent(
                f"mail through {self._settings.host} failed: {type(error).__name__} {code}".rstrip()
            ) from error

    def _send(self, message: EmailMessage) -> None:
        settings = self._settings
        host, timeout = settings.host or "", settings.timeout_seconds
        trust = None if settings.ca_file is None else str(settings.ca_file)
        if settings.security == "tls":
            context = ssl.create_default_context(cafile=trust)
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, settings.port, timeout=timeout, context=context)
        else:
            server = smtplib.SMTP(host, settings.port, timeout=timeout)
        with server:
            if settings.security == "starttls":
                server.starttls(context=ssl.create_default_context(cafile=trust))
            if settings.username is not None and settings.password is not None:
                server.login(settings.username, settings.password.get_secret_value())
            server.send_message(message)


def _message(alerts: Sequence[Alert], settings: MailSettings) -> EmailMessage:
    firing = sum(alert.status is AlertStatus.FIRING for alert in alerts)
    message = EmailMessage()
    message["From"] = settings.sender
    message["To"] = ", ".join(settings.recipients)
    message["Subject"] = f"ndes-lab: {firing} firing, {len(alerts) - firing} resolved"
    lines = [
        f"{alert.status.value.upper()} [{alert.condition.severity}] {alert.condition.summary}"
        for alert in alerts
    ]
    message.set_content("\n".join(lines) + "\n")
    return message


def senders_of(settings: AlertSettings) -> list[Sender]:
    """Return the ways that are configured."""
    senders: list[Sender] = []
    if settings.webhook_url is not None:
        timeout = timedelta(seconds=settings.webhook_seconds)
        senders.append(WebhookSender(settings.webhook_url.get_secret_value(), timeout))
    if settings.mail.host is not None:
        senders.append(MailSender(settings.mail))
    return senders


class Dispatcher:
    """A thread and a queue for one sender; whoever has something to tell never waits.

    Where the queue is full the notification is dropped, and the log, which has every alert, says so.
    """

    def __init__(self, sender: Sender, *, attempts: int, retry: timedelta) -> None:
        self._sender = sender
        self._attempts = attempts
        self._retry = retry
        self._queue: queue.Queue[Sequence[Alert] | None] = queue.Queue(_LONGEST_QUEUE)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"alerts-{sender.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Give up waiting for another attempt, and end; an attempt under way is finished first."""
        self._stopping.set()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join()

    def tell(self, alerts: Sequence[Alert]) -> None:
        """Have the sender tell ``alerts``."""
        try:
            self._queue.put_nowait(alerts)
        except queue.Full:
            _log.error("alerts dropped: too many wait", sender=self._sender.name, alerts=len(alerts))

    def wait(self) -> None:
        """Wait until everything has been told or given up."""
        self._queue.join()

    def _run(self) -> None:
        while True:
            alerts = self._queue.get()
            try:
                if alerts is None or self._stopping.is_set():
                    return
                self._send(alerts)
            finally:
                self._queue.task_done()

    def _send(self, alerts: Sequence[Alert]) -> None:
        for attempt in range(self._attempts):
            if attempt and self._stopping.wait(self._retry.total_seconds() * 2 ** (attempt - 1)):
                return
            try:
                self._sender.send(alerts)
            except NotSent as error:
                _log.warning("alerts not sent", reason=str(error), attempt=attempt + 1, of=self._attempts)
            else:
                return
        _log.error("alerts given up", sender=self._sender.name, alerts=len(alerts))
