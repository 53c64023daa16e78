"""``ndes-lab verify CERT``: chain and revocation as ``certutil -verify -urlfetch`` shows them."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from ca.clock import SystemClock
from ca.folders import PkiFolder
from lab.trust import (
    CertificateRevocationList,
    HttpUrlFetcher,
    TrustAnchors,
    UnreadableCertificate,
    UnreadableCrl,
    X509Certificate,
    build_chain,
    read_certificates,
)
from lab.trust.render import as_json, render_text
from lab.trust.revocation import RevocationSources

_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


@click.command()
@click.argument("certificate", type=_FILE)
@click.option("--ca-file", "ca_files", multiple=True, type=_FILE, help="Trust the certificates in FILE.")
@click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Trust the root of the PKI in DIR and use its issuing CA.",
)
@click.option("--system", is_flag=True, help="Trust what this machine trusts.")
@click.option(
    "--untrusted",
    "untrusted_files",
    multiple=True,
    type=_FILE,
    help="Take intermediate certificates from FILE.",
)
@click.option("--crl", "crl_files", multiple=True, type=_FILE, help="Check revocation against this CRL.")
@click.option("--url-fetch", is_flag=True, help="Fetch issuers (AIA) and CRLs (CDP) over HTTP.")
@click.option("--usage", metavar="OID", help="The chain must be good for this extended key usage.")
@click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"]),
    help="Judge as of this instant, in UTC.",
)
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
def verify(
    certificate: Path,
    ca_files: tuple[Path, ...],
    data_dir: Path | None,
    system: bool,
    untrusted_files: tuple[Path, ...],
    crl_files: tuple[Path, ...],
    url_fetch: bool,
    usage: str | None,
    at: datetime | None,
    json_output: bool,
) -> None:
    """Build the chain of CERTIFICATE (PEM, DER or PKCS#7; - for standard input) and judge it.

    Further certificates in the same file serve as intermediates. Revocation is checked when --crl or
    --url-fetch is given. Exit status: 0 trusted, 1 not trusted, 2 could not run.
    """
    leaf, *others = _certificates(certificate)
    intermediates = others + [found for path in untrusted_files for found in _certificates(path)]
    pki = None if data_dir is None else PkiFolder(data_dir)
    anchors = _anchors(ca_files, pki, system)
    if pki is not None:
        intermediates += _certificates(pki.issuing_certificate)
    fetcher = HttpUrlFetcher() if url_fetch else None
    crls = tuple(_crl(path) for path in crl_files)
    context = build_chain(
        leaf,
        anchors=anchors,
        at=at.replace(tzinfo=UTC) if at is not None else SystemClock().now(),
        intermediates=intermediates,
        revocation=RevocationSources(crls=crls, fetcher=fetcher) if crls or fetcher else None,
        fetcher=fetcher,
        usage=usage,
    )
    click.echo(json.dumps(as_json(context), indent=2) if json_output else render_text(context))
    sys.exit(0 if context.trusted else 1)


def _anchors(ca_files: tuple[Path, ...], pki: PkiFolder | None, system: bool) -> TrustAnchors:
    given = [*ca_files, *([pki.issuing_root_certificate] if pki is not None else [])]
    if not given and not system:
        raise click.UsageError("nothing to trust: give --ca-file FILE, --data-dir DIR or --system")
    certificates = [found for path in given for found in _certificates(path)]
    origins = [str(path) for path in given]
    if system:
        certificates += TrustAnchors.of_system().certificates
        origins.append("the trust store of this machine")
    return TrustAnchors.of(certificates, origin=", ".join(origins))


def _octets(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}") from error


def _certificates(path: Path) -> list[X509Certificate]:
    try:
        return read_certificates(_octets(path))
    except UnreadableCertificate as error:
        raise click.UsageError(f"{path}: {error}") from error


def _crl(path: Path) -> CertificateRevocationList:
    try:
        return CertificateRevocationList.read(_octets(path), origin=str(path))
    except UnreadableCrl as error:
        raise click.UsageError(str(error)) from error
