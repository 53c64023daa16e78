"""The reply is lost, and the device asks again.

The server has issued the certificate, and the connection breaks before the device has read the answer: a
proxy gives up, a link goes down, a balancer takes the server out. For the server all is well, for the
device nothing has come. It sends the same request again, octet for octet. A server that treats that as a new
request refuses it, because the password is used, or issues a second certificate; RFC 8894 has the
transactionID so that it can send the first one again.

What a real NDES does with the repetition is not documented; this lab answers as the RFC wishes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.admin.models import CertificateQuery

from .engine import Ending, Failure, Finding, Scenario, Seen, Sighting
from .engine.field import AFTER_THE_REQUEST, UNCONFIRMED, event_32

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """Something on the way resets the connection while the answer to the request comes back."""
    stage.props["before"] = _issued(stage)
    stage.add_fault("wire::reset-within-headers")


def apply_the_cure(stage: Stage) -> None:
    """The line is mended; the device sends the same request again."""
    stage.clear_faults()


def one_certificate(stage: Stage, seen: Seen) -> Iterator[Finding]:
    """Yield how many certificates the CA has issued to the device, and whether it has got that one."""
    issued = _issued(stage) - stage.props["before"]
    yield Finding(what="certificates issued to the device", expected="1", seen=str(len(issued)))
    got = seen.client.certificate
    serial = "none" if got is None else f"{got.serial_number:x}"
    yield Finding(what="the one that it has got", expected=", ".join(issued), seen=serial)


def _issued(stage: Stage) -> set[str]:
    """Return the serial numbers of what the CA has issued to the device."""
    found = stage.lab.desk.certificates(CertificateQuery(subject=f"CN={stage.device.name}")).certificates
    return {certificate.serial_number for certificate in found}


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x80072EFE after the request; the server has issued the certificate",
    in_the_field=(
        event_32(0x80072EFE),
        *AFTER_THE_REQUEST,
        Sighting(
            where="device",
            text="ERROR_WINHTTP_CONNECTION_ERROR (12030): reset, TLS inspection, abrupt close",
            source=f"winhttp.h; when it comes is {UNCONFIRMED}",
        ),
    ),
    failure=Failure(ending=Ending.NO_ANSWER, hresult=0x80072EFE, iis="200 0 0"),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=(
        "ndes-lab enroll http://127.0.0.1:8080/scep --ca-file root.pem --subject CN=device "
        "--challenge-file challenge.txt --out device  # the same command again goes on",
        "ndes-lab cert list --subject device",
        "ndes-lab fault clear  # where a rule has lost it",
    ),
    on_windows=(
        "Nothing on the server: the device repeats by itself, at the latest at its next synchronization.",
        "If it happens again and again, look at time-outs of proxy and balancer: all calls of one enrolment "
        "must reach the same NDES.",
    ),
    also_proves=one_certificate,
)
