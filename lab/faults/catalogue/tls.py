"""Faults before HTTP: the name, the connection, TLS. Each has its own address (`lab.faults.doorways`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lab.faults.registry import ClientMust, Seam, Step, fault
from lab.faults.values import Doorway

if TYPE_CHECKING:
    from lab.faults.tools import Tools

_SECURE_FAILURE = (
    "Event 86 (CertEnroll), stage GetCACaps: 'A security error occurred 0x80072f8f (WinHttp: 12175 "
    "ERROR_WINHTTP_SECURE_FAILURE)'; events 306, 32 and 307 in the MDM log (windows-client.md 1.1, 1.2)"
)


@fault(
    seam=Seam.WIRE,
    takes=Doorway,
    clause="RFC 6761 6.4",
    client_must=ClientMust.REJECT,
    step=Step.CAPABILITIES,
    symptom="0x80072EE7 NAME_NOT_RESOLVED (12007) (windows-client.md 1.3)",
)
def name_not_resolved(doorway: Doorway, tools: Tools) -> Doorway:
    """The host name in the URL does not resolve.

    Split-horizon DNS: a device on the Internet is given the internal name of NDES. The name ends in
    .invalid, which no resolver knows.
    """
    del tools
    return replace(doorway, host="ndes.corp.invalid", port="closed")


@fault(
    seam=Seam.WIRE,
    takes=Doorway,
    clause="RFC 9293 3.10.7.1",
    client_must=ClientMust.RETRY,
    step=Step.CAPABILITIES,
    symptom="0x80072EFD CANNOT_CONNECT (12029) (windows-client.md 1.3)",
)
def connection_refused(doorway: Doorway, tools: Tools) -> Doorway:
    """The port is closed: connections are refused at once.

    The web server is down, or a firewall rejects. Nothing has been sent, so that everything can be sent
    again.
    """
    del tools
    return replace(doorway, port="closed")


@fault(
    seam=Seam.WIRE,
    takes=Doorway,
    clause="RFC 9293 3.8.3",
    client_must=ClientMust.RETRY,
    step=Step.CAPABILITIES,
    symptom="0x80072EE2 ERROR_WINHTTP_TIMEOUT (12002) (windows-client.md 1.3)",
)
def connection_never_made(doorway: Doorway, tools: Tools) -> Doorway:
    """Connections are neither made nor refused: what is sent to the port is dropped.

    A firewall that drops, or a host that is off. A client that sets no time limit of its own waits for
    minutes: until its system gives up.
    """
    del tools
    return replace(doorway, port="silent")


@fault(
    seam=Seam.WIRE,
    takes=Doorway,
    clause="RFC 8446 4",
    client_must=ClientMust.REJECT,
    step=Step.CAPABILITIES,
    symptom="0x80072F78 INVALID_SERVER_RESPONSE (12152) is listed for plain HTTP on a TLS port "
    "(windows-client.md 1.3)",
)
def plain_http_behind_https(doorway: Doorway, tools: Tools) -> Doorway:
    """The URL says https, and the port speaks plain HTTP.

    A binding without certificate, or a proxy that ends TLS somewhere else. The client must not go on in
    plain HTTP: who asked for TLS is to have it.
    """
    del tools
    return replace(doorway, scheme="https")


@fault(
    seam=Seam.WIRE,
    takes=Doorway,
    clause="RFC 9110 4.2.2",
    client_must=ClientMust.REJECT,
    step=Step.CAPABILITIES,
)
def https_behind_plain_http(doorway: Doorway, tools: Tools) -> Doorway:
    """The URL says http, and the port speaks TLS: the answer is 400, in plain HTTP.

    The profile has http:// and the port of HTTPS.
    """
    del tools
    return replace(doorway.with_tls(), scheme="http")


@fault(
    seam=Seam.WIRE,
    takes=Doorway,
    clause="RFC 9110 4.3.4",
    client_must=ClientMust.REJECT,
    step=Step.CAPABILITIES,
    symptom=_SECURE_FAILURE,
)
def tls_wrong_name(doorway: Doorway, tools: Tools) -> Doorway:
    """The TLS certificate is for another host name.

    NDES published under a second name, or reached by its address. Everything else about the certificate
    is right.
    """
    del tools
    return doorway.with_tls("wrong-name")


@fault(
    seam=Seam.WIRE,
    takes=Doorway,
    clause="RFC 5280 6.1.3 (a)(2)",
    client_must=ClientMust.REJECT,
    step=Step.CAPABILITIES,
    symptom=_SECURE_FAILURE,
)
def tls_expired(doorway: Doorway, tools: Tools) -> Doorway:
    """The TLS certificate ended yesterday.

    The web server's certificate is nobody's in particular: it is the one that is forgotten. By the lab's
    clock.
    """
    del tools
    return doorway.with_tls("expired")


@fault(
    seam=Seam.WIRE,
    takes=Doorway,
    clause="RFC 5280 6.1.3 (a)(2)",
    client_must=ClientMust.REJECT,
    step=Step.CAPABILITIES,
    symptom=_SECURE_FAILURE,
)
def tls_not_yet_valid(doorway: Doorway, tools: Tools) -> Doorway:
    """The TLS certificate is valid from next month on.

    Seldom a certificate that was installed too early; mostly a device whose clock is behind, such as one
    without a battery after its first boot.
    """
    del tools
    return doorway.with_tls("not-yet-valid")


@fault(
    seam=Seam.WIRE,
    takes=Doorway,
    clause="RFC 5280 6.1.3 (a)(1)",
    client_must=ClientMust.REJECT,
    step=Step.CAPABILITIES,
    symptom=_SECURE_FAILURE,
)
def tls_untrusted(doorway: Doorway, tools: Tools) -> Doorway:
    """The TLS certificate is by a CA that nobody knows, and names that CA "TLS Inspection".

    A proxy that reads along. Its CA is in the trust store of managed devices, and in nobody's who is
    about to be managed.
    """
    del tools
    return doorway.with_tls("untrusted")


@fault(
    seam=Seam.WIRE,
    takes=Doorway,
    clause="RFC 5280 6.1.3 (a)(1)",
    client_must=ClientMust.REJECT,
    step=Step.CAPABILITIES,
    symptom=_SECURE_FAILURE,
)
def tls_self_signed(doorway: Doorway, tools: Tools) -> Doorway:
    """The TLS certificate is self-signed.

    What a web server makes for itself when it is installed, and somebody forgot to replace.
    """
    del tools
    return doorway.with_tls("self-signed")


@fault(
    seam=Seam.WIRE,
    takes=Doorway,
    clause="RFC 5280 4.2.1.12",
    client_must=ClientMust.REJECT,
    step=Step.CAPABILITIES,
)
def tls_not_a_servers_certificate(doorway: Doorway, tools: Tools) -> Doorway:
    """The TLS certificate is good for Client Authentication alone.

    The machine's own certificate was bound to the web site in place of the web server's.
    """
    del tools
    return doorway.with_tls("client-only")


@fault(
    seam=Seam.WIRE,
    takes=Doorway,
    clause="RFC 8446 4.4.2",
    client_must=ClientMust.MAY,
    step=Step.CAPABILITIES,
)
def tls_chain_incomplete(doorway: Doorway, tools: Tools) -> Doorway:
    """The TLS server sends its own certificate and not the issuing CA's.

    Clients that know the root alone cannot build the chain, unless they fetch the issuer from where AIA
    says (RFC 5280 4.2.2.1), as Windows does and OpenSSL does not: so one device enrols and the other
    does not.
    """
    del tools
    return doorway.with_tls(with_chain=False)


@fault(
    seam=Seam.WIRE,
    takes=Doorway,
    clause="RFC 8446 4.2.1",
    client_must=ClientMust.MAY,
    step=Step.CAPABILITIES,
    symptom=f"{_SECURE_FAILURE}: the Windows SCEP client stops at TLS 1.2 (windows-client.md 1.3, 7)",
)
def tls_1_3_only(doorway: Doorway, tools: Tools) -> Doorway:
    """The server speaks TLS 1.3 and nothing older.

    A hardened reverse proxy. No mistake of the server's: a client that knows TLS 1.3 goes on, any other
    gets the alert protocol_version.
    """
    del tools
    return doorway.with_tls(minimum_tls="1.3")


@fault(
    seam=Seam.WIRE,
    takes=Doorway,
    clause="RFC 9325 3.1.1",
    client_must=ClientMust.SUCCEED,
    step=Step.CAPABILITIES,
)
def tls_1_2_only(doorway: Doorway, tools: Tools) -> Doorway:
    """The server speaks TLS 1.2 and nothing newer, as Windows Server 2019 and older do.

    TLS 1.2 must be supported wherever TLS is (RFC 9325 3.1.1).
    """
    del tools
    return doorway.with_tls(maximum_tls="1.2")


@fault(
    seam=Seam.WIRE,
    takes=Doorway,
    clause="RFC 8996 2",
    client_must=ClientMust.REJECT,
    step=Step.CAPABILITIES,
)
def tls_1_0_only(doorway: Doorway, tools: Tools) -> Doorway:
    """The server speaks TLS 1.0 and nothing newer.

    A server of 2008 that nobody dares to touch. TLS 1.0 must not be used.
    """
    del tools
    return doorway.with_tls(minimum_tls="1.0", maximum_tls="1.0")


@fault(
    seam=Seam.WIRE,
    takes=Doorway,
    clause="RFC 8446 4.3.2",
    client_must=ClientMust.REJECT,
    step=Step.CAPABILITIES,
    symptom="0x80072F0C CLIENT_AUTH_CERT_NEEDED (12044): server demands mTLS (windows-client.md 1.3)",
)
def tls_client_certificate_required(doorway: Doorway, tools: Tools) -> Doorway:
    """The TLS server insists on a client certificate.

    Who is about to enrol has none yet: "Require SSL, client certificates: require" at the web site. With
    TLS 1.3 the client learns of it only after it has sent its request.
    """
    del tools
    return doorway.with_tls(client_certificate="required")


@fault(
    seam=Seam.WIRE,
    takes=Doorway,
    clause="RFC 8446 4.4.2",
    client_must=ClientMust.SUCCEED,
    step=Step.CAPABILITIES,
)
def tls_client_certificate_wanted(doorway: Doorway, tools: Tools) -> Doorway:
    """The TLS server asks for a client certificate, and goes on without one.

    "Client certificates: accept". A client without a suitable certificate answers with an empty list and
    goes on; Apple's renewals are known to fail here.
    """
    del tools
    return doorway.with_tls(client_certificate="wanted")
