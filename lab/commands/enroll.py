"""``ndes-lab enroll URL``: the lab's own SCEP client, against any server."""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

import click

from ca.clock import SystemClock
from lab.client import (
    LENIENT_POLICY,
    STRICT_POLICY,
    CaTrust,
    ClientError,
    EnrolmentSession,
    HttpTransport,
    Identity,
    Issued,
    Order,
    Outcome,
    OutputFolder,
    Patience,
    Preferences,
    Refused,
    ReplyRejected,
    ScepClient,
    UntrustedCa,
    generate_key,
    load_key,
    parse_alternative_name,
    parse_subject,
)
from lab.client.reports import (
    certificate_json,
    certificate_pem,
    crl_json,
    crl_pem,
    error_json,
    outcome_json,
    outcome_lines,
)
from lab.client.requests import KEY_TYPES, names_to_renew
from lab.http_exchange import HttpLimits
from lab.trust import TrustAnchors, UnreadableCertificate, X509Certificate, read_certificates
from scep_server.protocol.algorithms import (
    OAEP_SHA1,
    OAEP_SHA256,
    PKCS1_V15,
    ContentCipher,
    DigestAlgorithm,
)
from scep_server.protocol.messages import MessageType

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNSPECIFIED: Final = 0x80004005
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_DIGESTS: Final = {digest.hash_name: digest for digest in DigestAlgorithm if not digest.legacy}
_CIPHERS: Final = {
    "aes-128": ContentCipher.AES_128_CBC,
    "aes-192": ContentCipher.AES_192_CBC,
    "aes-256": ContentCipher.AES_256_CBC,
    "3des": ContentCipher.DES_EDE3_CBC,
}
_KEY_TRANSPORTS: Final = {"pkcs1": PKCS1_V15, "oaep-sha1": OAEP_SHA1, "oaep-sha256": OAEP_SHA256}
_MESSAGE_TYPES: Final = {"pkcsreq": MessageType.PKCS_REQ, "renewalreq": MessageType.RENEWAL_REQ}


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollOptions:
    """The options of the command, as given."""

    url: str
    challenge: str | None
    challenge_file: Path | None
    subject: str | None
    san: tuple[str, ...]
    key_type: str
    key_file: Path | None
    renew_with: tuple[Path, Path] | None
    message_type: str | None
    ca_fingerprint: tuple[str, ...]
    ca_file: tuple[Path, ...]
    tls_ca_file: tuple[Path, ...]
    insecure: bool
    digest: str | None
    cipher: str | None
    key_transport: str
    transport: Literal["auto", "get", "post"]
    accept_legacy: bool
    out: Path | None
    restart: bool
    overwrite: bool
    wait: bool
    poll_interval: float
    max_polls: int
    timeout: float
    attempts: int
    user_agent: str
    ca_identifier: str | None
    get_ca_caps: bool
    get_ca_cert: bool
    get_next_ca: bool
    get_cert: str | None
    get_crl: bool
    json_output: bool


@click.command()
@click.argument("url")
@click.option("--challenge", help="Challenge password (better: --challenge-file).")
@click.option("--challenge-file", type=_FILE, help="File whose first line is the challenge password.")
@click.option("--subject", help='Subject as RFC 4514 writes it, such as "CN=device,O=Lab".')
@click.option("--san", multiple=True, help="Further name: dns:, email:, ip:, uri: or upn:. Repeatable.")
@click.option("--key-type", type=click.Choice(KEY_TYPES), default="rsa-2048", show_default=True)
@click.option("--key", "key_file", type=_FILE, help="Use this private key instead of a new one.")
@click.option(
    "--renew-with",
    type=_FILE,
    nargs=2,
    metavar="CERT KEY",
    help="Renew this certificate: it signs the request. Also signs --get-cert and --get-crl.",
)
@click.option(
    "--message-type",
    type=click.Choice(list(_MESSAGE_TYPES)),
    help="Default: renewalreq for a renewal if the server announces it, else pkcsreq.",
)
@click.option("--ca-fingerprint", multiple=True, help="SHA-256, SHA-1 or MD5 of a CA certificate, in hex.")
@click.option("--ca-file", type=_FILE, multiple=True, help="Trust the CA certificates in this file.")
@click.option(
    "--tls-ca-file",
    type=_FILE,
    multiple=True,
    help="For https: trust the CA certificates in this file, in place of the machine's.",
)
@click.option("--insecure", is_flag=True, help="Believe whatever CA certificate the server sends.")
@click.option("--digest", type=click.Choice(list(_DIGESTS)), help="Default: the best that is announced.")
@click.option("--cipher", type=click.Choice(list(_CIPHERS)), help="Default: the best that is announced.")
@click.option("--key-transport", type=click.Choice(list(_KEY_TRANSPORTS)), default="pkcs1", show_default=True)
@click.option("--transport", type=click.Choice(["auto", "get", "post"]), default="auto", show_default=True)
@click.option(
    "--accept-legacy",
    is_flag=True,
    help="Read replies in single DES or MD5, as old servers send them.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for key.pem, certificate.pem and chain.pem.",
)
@click.option("--restart", is_flag=True, help="Forget an enrolment that is under way in --out.")
@click.option("--overwrite", is_flag=True, help="Replace what an earlier enrolment left in --out.")
@click.option("--wait/--no-wait", help="Poll while the request is pending.")
@click.option("--poll-interval", type=click.FloatRange(0), default=60, show_default=True, help="Seconds.")
@click.option("--max-polls", type=click.IntRange(1), default=60, show_default=True)
@click.option(
    "--timeout", type=click.FloatRange(0.1), default=30, show_default=True, help="Seconds per call."
)
@click.option(
    "--attempts", type=click.IntRange(1), default=3, show_default=True, help="Sendings of a lost request."
)
@click.option("--user-agent", default="ndes-lab", show_default=True)
@click.option("--ca-identifier", help="Parameter message of GetCACaps and GetCACert.")
@click.option("--get-ca-caps", is_flag=True, help="Only print what the server announces.")
@click.option("--get-ca-cert", is_flag=True, help="Only print the CA certificates, not authenticated.")
@click.option("--get-next-ca", is_flag=True, help="Only print the next CA certificates.")
@click.option("--get-cert", metavar="SERIAL", help="Only fetch the certificate with this serial (hex).")
@click.option("--get-crl", is_flag=True, help="Only fetch the CRL.")
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
def enroll(**given: Any) -> None:
    """Enrol at the SCEP server at URL, renew, or ask it something.

    An enrolment that was interrupted, or is pending, goes on when the same command is given again: the
    same request with the same key. Exit status: 0 issued (or answered), 1 refused, still pending, or a
    CA or reply that must not be believed, 2 could not run.
    """
    options = EnrollOptions(**given)
    try:
        client = _client(options)
        if _is_question(options):
            _answer(options, client)
        else:
            _report(options, client, _enrol(options, client))
    except ClientError as error:
        _fail(options, error)
    except OSError as error:
        raise click.UsageError(f"{error.filename or options.out}: {error.strerror}") from error


def _is_question(options: EnrollOptions) -> bool:
    asked = [
        options.get_ca_caps,
        options.get_ca_cert,
        options.get_next_ca,
        options.get_cert is not None,
        options.get_crl,
    ]
    if sum(asked) > 1:
        raise click.UsageError(
            "give only one of --get-ca-caps, --get-ca-cert, --get-next-ca, --get-cert, --get-crl"
        )
    return any(asked)


def _client(options: EnrollOptions) -> ScepClient:
    unauthenticated = options.get_ca_caps or options.get_ca_cert
    if not (options.ca_fingerprint or options.ca_file or options.insecure or unauthenticated):
        raise click.UsageError(
            "nothing authenticates the CA: give --ca-file or --ca-fingerprint, or --insecure to do without "
            "(RFC 8894 2.1.1)"
        )
    return ScepClient(
        HttpTransport(
            url=options.url,
            limits=HttpLimits(timeout=timedelta(seconds=options.timeout)),
            user_agent=options.user_agent,
            tls=_tls(options.tls_ca_file),
        ),
        CaTrust(
            fingerprints=options.ca_fingerprint,
            anchors=_anchors(options.ca_file),
            insecure=options.insecure or unauthenticated,
        ),
        clock=SystemClock(),
        entropy=os.urandom,
        sleep=lambda pause: time.sleep(pause.total_seconds()),
        preferences=Preferences(
            digest=_DIGESTS[options.digest] if options.digest else None,
            cipher=_CIPHERS[options.cipher] if options.cipher else None,
            key_transport=_KEY_TRANSPORTS[options.key_transport],
            transport=options.transport,
        ),
        policy=LENIENT_POLICY if options.accept_legacy else STRICT_POLICY,
        patience=Patience(
            attempts=options.attempts,
            polls=options.max_polls if options.wait else 0,
            poll_interval=timedelta(seconds=options.poll_interval),
        ),
        ca_identifier=options.ca_identifier,
    )


def _anchors(files: Sequence[Path]) -> TrustAnchors | None:
    if not files:
        return None
    try:
        return TrustAnchors.of_files(files)
    except (OSError, UnreadableCertificate) as error:
        raise click.UsageError(str(error)) from error


def _tls(files: Sequence[Path]) -> ssl.SSLContext | None:
    """Return how servers are authenticated in https; None is as this machine does it."""
    if not files:
        return None
    try:
        pems = [certificate_pem(certificate).decode() for file in files for certificate in _in_file(file)]
        return ssl.create_default_context(cadata="".join(pems))
    except ssl.SSLError as error:
        raise click.UsageError(f"the certificates for https cannot be used: {error}") from error


def _in_file(file: Path) -> Sequence[X509Certificate]:
    try:
        return read_certificates(_read(file))
    except UnreadableCertificate as error:
        raise click.UsageError(f"{file}: {error}") from error


def _enrol(options: EnrollOptions, client: ScepClient) -> Outcome:
    if options.out is None:
        raise click.UsageError("--out DIR is needed: it receives key, certificate and chain")
    folder = OutputFolder(options.out)
    if options.restart:
        folder.discard()
    under_way = folder.load() is not None
    may_replace = under_way or options.overwrite or options.renew_with is not None
    if (folder.holds_certificate or folder.holds_key) and not may_replace:
        raise click.UsageError(
            f"{options.out} holds an earlier enrolment: give --renew-with, --overwrite or another --out"
        )
    signer = _signer(options)
    session = EnrolmentSession(
        client=client,
        url=options.url,
        folder=folder,
        signer_key_file=options.renew_with[1].resolve() if options.renew_with else None,
    )
    challenge = _challenge(options)
    if under_way:
        click.echo(f"going on with the enrolment under way in {options.out}; --restart begins anew", err=True)
    return session.enrol(
        lambda: _order(options, signer, challenge),
        challenge_password=challenge,
        wait=options.wait,
        progress=lambda pending: click.echo(pending.describe(), err=True),
    )


def _order(options: EnrollOptions, signer: Identity | None, challenge: str | None) -> Order:
    if options.subject is None and signer is None:
        raise click.UsageError("--subject is needed (RFC 8894 3.3.1)")
    if options.message_type == "renewalreq" and signer is None:
        raise click.UsageError("a RenewalReq is signed by the certificate it renews: give --renew-with")
    if options.key_file is not None:
        key = load_key(_read(options.key_file), origin=str(options.key_file))
    else:
        key = generate_key(options.key_type)
    subject_der, names = names_to_renew(signer.certificate.der) if signer else (b"", ())
    return Order(
        key=key,
        subject_der=parse_subject(options.subject) if options.subject is not None else subject_der,
        alternative_names=tuple(parse_alternative_name(text) for text in options.san) or names,
        challenge_password=challenge,
        renewal_of=signer,
        message_type=_MESSAGE_TYPES[options.message_type] if options.message_type else None,
    )


def _signer(options: EnrollOptions) -> Identity | None:
    if options.renew_with is None:
        return None
    certificate_file, key_file = options.renew_with
    try:
        certificate = read_certificates(_read(certificate_file))[0]
    except UnreadableCertificate as error:
        raise click.UsageError(f"{certificate_file}: {error}") from error
    return Identity.of(certificate.der, load_key(_read(key_file), origin=str(key_file)))


def _challenge(options: EnrollOptions) -> str | None:
    if options.challenge is not None and options.challenge_file is not None:
        raise click.UsageError("give --challenge or --challenge-file, not both")
    if options.challenge_file is None:
        return options.challenge
    try:
        lines = _read(options.challenge_file).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{options.challenge_file} is no UTF-8 text") from error
    return lines[0] if lines else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}") from error


def _answer(options: EnrollOptions, client: ScepClient) -> None:
    """Ask one question and print the answer."""
    if options.get_ca_caps:
        capabilities = client.capabilities
        known = sorted(capabilities.keywords)
        _print(
            options, [*known, *capabilities.unknown], {"known": known, "unknown": list(capabilities.unknown)}
        )
    elif options.get_ca_cert:
        _print_certificates(options, client.offered_certificates)
    elif options.get_next_ca:
        _print_certificates(options, client.get_next_ca())
    elif options.get_cert is not None:
        found = client.get_cert(_serial(options.get_cert), _signer(options))
        if isinstance(found, Refused):
            _report(options, client, found)
        else:
            _print_certificates(options, [found])
    else:
        crl = client.get_crl(signer=_signer(options))
        if isinstance(crl, Refused):
            _report(options, client, crl)
        else:
            _print(options, [crl_pem(crl).decode().rstrip()], crl_json(crl))


def _serial(text: str) -> int:
    try:
        return int(text.replace(":", ""), 16)
    except ValueError as error:
        raise click.UsageError(f"serial {text!r} is no hex number") from error


def _print_certificates(options: EnrollOptions, certificates: Sequence[X509Certificate]) -> None:
    lines = []
    for certificate in certificates:
        lines += [f"# {certificate.subject}", f"# SHA-256 {certificate.sha256}"]
        lines += [f"# SHA-1 {certificate.sha1}", f"# MD5 {certificate.md5}"]
        lines += [certificate_pem(certificate).decode().rstrip()]
    _print(options, lines, [certificate_json(certificate) for certificate in certificates])


def _print(options: EnrollOptions, lines: Sequence[str], document: Any) -> None:
    click.echo(json.dumps(document, indent=2) if options.json_output else "\n".join(lines))


def _report(options: EnrollOptions, client: ScepClient, outcome: Outcome) -> None:
    """Print the outcome and end with its exit status."""
    for warning in dict.fromkeys((*client.warnings, *outcome.warnings)):
        click.echo(f"warning: {warning}", err=True)
    _print(options, outcome_lines(outcome, options.out), outcome_json(outcome, options.out))
    sys.exit(0 if isinstance(outcome, Issued) else 1)


def _fail(options: EnrollOptions, error: ClientError) -> NoReturn:
    """Say why there is no outcome; what must not be believed is a finding, the rest could not run."""
    if options.json_output:
        click.echo(json.dumps(error_json(error), indent=2))
    code = "" if error.hresult.code == _UNSPECIFIED else f"; {error.hresult}"
    click.echo(f"error: {error}{code}", err=True)
    sys.exit(1 if isinstance(error, ReplyRejected | UntrustedCa) else 2)
