"""A whole lab in process, for tests: free ports, nothing left behind.

What a lab is made of takes longest to load, and so it is loaded while the keys are being made.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ca.clock import SystemClock
from ca.keys import KeysAhead

from .settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from ca.clock import Clock
    from ca.records import CertificateStatus
    from scep_server.ndes.profiles import ProfileName

    from .admin.local import LocalDesk
    from .admin.models import CertificateView, ReasonName
    from .faults.registry import ParameterValue
    from .health import HealthReport
    from .journal import Journal
    from .lab_clock import LabClock
    from .lab_faults import LabFaults, SetFault
    from .running import RunningLab
    from .trust_files import TrustedRoot
    from .world import World


class ScepLab:
    """A lab of one's own: SCEP, PKI and management listeners on free ports of 127.0.0.1.

    Use it as a context manager, or call `start` and `stop`. Everything is kept in a temporary folder
    that is removed at the end.

    Args:
        settings: settings by section, as in the TOML file, such as
            ``{"scep": {"endpoints": {"default": {"challenge": "none"}}}}``.
        profile: behaviour profile; short for ``{"scep": {"profile": ...}}``.
        clock: the time that the lab goes by.

    Raises:
        UnusableSettings: a setting is unknown or bad; the text says what was found and what is known.

    """

    def __init__(
        self,
        settings: Mapping[str, Any] | None = None,
        *,
        profile: ProfileName | None = None,
        clock: Clock | None = None,
    ) -> None:
        wanted = dict(settings or {})
        if profile is not None:
            wanted["scep"] = {**wanted.get("scep", {}), "profile": profile}
        chosen = read_settings(wanted)
        self._settings = chosen.model_copy(
            update={
                "server": chosen.server.model_copy(
                    update={"ephemeral": True}
                    | {name: 0 for name in ("port", "pki_port") if name not in chosen.server.model_fields_set}
                ),
                "admin": chosen.admin.model_copy(
                    update={} if "port" in chosen.admin.model_fields_set else {"port": 0}
                ),
                # A lab in a test is not watched unless the test says how.
                "alerts": chosen.alerts
                if "alerts" in chosen.model_fields_set
                else chosen.alerts.model_copy(update={"enabled": False}),
            }
        )
        self._clock: Clock = clock or SystemClock()
        self._undo = contextlib.ExitStack()
        self._running: RunningLab | None = None
        self._root: TrustedRoot | None = None

    # -- life --------------------------------------------------------------------------

    def start(self) -> Self:
        """Make the PKI and serve it."""
        if self._running is not None:
            raise RuntimeError("this lab is running already")
        with KeysAhead(self._settings.pki.ceremony_keys) as keys, contextlib.ExitStack() as undo:
            from ca.process.logs import route_to_standard_logging
            from scep_server.exchange_log import ExchangeLog

            from .running import RunningLab
            from .trust_files import TrustedRoot

            route_to_standard_logging()
            folder = Path(tempfile.mkdtemp(prefix="ndes-lab-"))
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            running = RunningLab(
                self._settings,
                folder / "pki",
                clock=self._clock,
                entropy=os.urandom,
                observers=(ExchangeLog(),),
                durable=False,
                make_keys=keys,
            )
            undo.callback(running.stop)
            running.remember()
            self._root = TrustedRoot(running.world.root.der, folder)
            self._running = running
            self._undo = undo.pop_all()
        return self

    def stop(self) -> None:
        """Stop serving and remove everything; harmless when repeated."""
        self._running = None
        self._undo.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def reset(self) -> None:
        """Make the lab as it was when it had just started; keys, certificates and ports stay."""
        self._lab.reset()

    def remember(self) -> None:
        """Make how the lab is now what `reset` comes back to: prepared once, as new for every test."""
        self._lab.remember()

    # -- what it is --------------------------------------------------------------------

    @property
    def world(self) -> World:
        """The parts the lab is made of."""
        return self._lab.world

    @property
    def desk(self) -> LocalDesk:
        """The desk of CA and RA."""
        return self._lab.desk

    @property
    def journal(self) -> Journal:
        """Every exchange at the SCEP and PKI listeners, the newest last."""
        return self._lab.journal

    @property
    def scep_url(self) -> str:
        """Where SCEP clients enrol."""
        return self._lab.scep_url

    @property
    def scep_tls_url(self) -> str | None:
        """The same over TLS, with a certificate from the issuing CA; None unless server.tls_port is set."""
        return self._lab.scep_tls_url

    @property
    def mscep_url(self) -> str:
        """The same under NDES's path."""
        return self._lab.mscep_url

    @property
    def mscep_admin_url(self) -> str:
        """Where NDES's administrators get challenge passwords."""
        return self._lab.mscep_admin_url

    @property
    def ndes_user(self) -> str:
        """Who may log on there, with Negotiate or NTLM."""
        return self.world.ndes.user

    @property
    def ndes_password(self) -> str:
        """That user's password."""
        return self.world.ndes.password

    @property
    def pki_url(self) -> str:
        """Where CRLs and CA certificates are published."""
        return self._lab.pki_url

    @property
    def ocsp_url(self) -> str:
        """Where OCSP is answered."""
        return self.world.pki.ocsp_url

    @property
    def admin_url(self) -> str:
        """The management listener."""
        return self._lab.admin_url

    @property
    def admin_token(self) -> str | None:
        """The management listener's bearer token; None where it wants none."""
        return self._lab.admin_token

    @property
    def root(self) -> TrustedRoot:
        """The root's certificate in every form that clients want."""
        if self._root is None:
            raise RuntimeError("this lab is not running")
        return self._root

    @property
    def root_pem(self) -> str:
        """The root's certificate in PEM."""
        return self.root.pem

    @property
    def root_pem_path(self) -> Path:
        """A file that holds it."""
        return self.root.pem_path

    @property
    def root_sha256(self) -> str:
        """The root's SHA-256 thumbprint, lower-case hex."""
        return self.root.sha256

    # -- what goes wrong ---------------------------------------------------------------

    @property
    def faults(self) -> LabFaults:
        """The faults that are set, and how to set more."""
        from .lab_faults import LabFaults

        running = self._lab
        return LabFaults(running.faults, scep_url_of=running.fault_url)

    def fault(
        self,
        fault: str | Sequence[str | None],
        *,
        times: int | None = None,
        after: int = 0,
        match: Mapping[str, str] | None = None,
        chance: float | None = None,
        seed: int | None = None,
        **parameters: ParameterValue,
    ) -> SetFault:
        """Apply a fault for the length of a ``with`` block, or until the reset; as `LabFaults.set`."""
        return self.faults.set(
            fault, times=times, after=after, match=match, chance=chance, seed=seed, **parameters
        )

    def fault_url(self, fault_id: str, **parameters: ParameterValue) -> str:
        """Return a URL under which a fault is always met; as `LabFaults.url`."""
        return self.faults.url(fault_id, **parameters)

    @property
    def clock(self) -> LabClock:
        """The lab's clock, to be moved: ``clock.shift("+400d")``. What becomes due is published at once."""
        return self._lab.lab_clock

    # -- what one does with it ---------------------------------------------------------

    def new_challenge(
        self,
        *,
        subject: str | None = None,
        template: str | None = None,
        endpoint: str | None = None,
        static: bool = False,
        password: str | None = None,
        validity_minutes: int | None = 60,
        label: str = "",
    ) -> str:
        """Return a new challenge password, good once unless ``static``."""
        from .admin.models import ChallengeOrder

        order = ChallengeOrder.model_validate(
            {
                "kind": "static" if static else "one-time",
                "subject": subject,
                "template": template,
                "endpoint": endpoint,
                "password": password,
                "validity_minutes": validity_minutes,
                "label": label,
            }
        )
        return self.desk.new_challenge(order).password

    def certificates(
        self,
        *,
        status: CertificateStatus | None = None,
        template: str | None = None,
        subject: str | None = None,
    ) -> Sequence[CertificateView]:
        """Return the certificates the CA has issued, the RA's own included, oldest first."""
        from .admin.models import CertificateQuery

        found: list[CertificateView] = []
        after: int | None = 0
        while after is not None:
            query = CertificateQuery(
                status=status, template=template, subject=subject, after_id=after, limit=1000
            )
            page = self.desk.certificates(query)
            found += page.certificates
            after = page.next_after_id
        return found

    def revoke(
        self, certificate: CertificateView | str, reason: ReasonName = "unspecified"
    ) -> CertificateView:
        """Revoke a certificate, by number, serial number or thumbprint, and publish a CRL."""
        from .admin.models import RevocationOrder

        selector = certificate if isinstance(certificate, str) else str(certificate.id)
        return self.desk.revoke_certificate(selector, RevocationOrder(reason=reason)).certificate

    def look_at_the_clock(self) -> None:
        """Publish what has become due by a clock of one's own that was set."""
        self._lab.look_at_the_clock()

    def health(self) -> HealthReport:
        """Look at every certificate and location, and return what was found."""
        return self._lab.health.look()

    def publish_crls(self) -> None:
        """Sign and publish a new CRL."""
        self.desk.publish_crls()

    @property
    def _lab(self) -> RunningLab:
        if self._running is None:
            raise RuntimeError("this lab is not running")
        return self._running
