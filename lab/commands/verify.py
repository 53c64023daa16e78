"""``ndes-lab verify CERT``: chain and revocation as ``certutil -verify -urlfetch`` shows them."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ca.clock import SystemClock
from ca.folders import PkiFolder
from lab.trust import (
    CertificateRevocationList,
    ChainRules,
    HttpUrlFetcher,
    RevocationSources,
    TrustAnchors,
    UnreadableCertificate,
    UnreadableCrl,
    X509Certificate,
    build_chain,
    read_certificates,
)
from lab.trust.cross_check import CrossCheckUnavailable, cross_check
from lab.trust.render import as_json, render_text
from lab.trust.stores import CertificateStores

if TYPE_CHECKING:
    from lab.trust import ChainContext

_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


@click.command()
@click.argument("certificate", type=_FILE)
@click.option("--ca-file", "ca_files", multiple=True, type=_FILE, help="Trust the certificates in FILE.")
@click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Trust the root of the PKI in DIR and use its issuing CA.",
)
@click.option(
    "--store",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Use a device's stores in DIR: Root is trusted, CA is known, Disallowed is refused.",
)
@click.option("--system", is_flag=True, help="Trust what this machine trusts.")
@click.option(
    "--distrust", "distrusted_files", multiple=True, type=_FILE, help="Refuse the certificates in FILE."
)
@click.option(
    "--untrusted",
    "untrusted_files",
    multiple=True,
    type=_FILE,
    help="Take intermediate certificates from FILE.",
)
@click.option("--crl", "crl_files", multiple=True, type=_FILE, help="Check revocation against this CRL.")
@click.option(
    "--url-fetch", is_flag=True, help="Fetch issuers (AIA) and CRLs (CDP) over HTTP, and ask OCSP responders."
)
@click.option("--no-ocsp", is_flag=True, help="Go by CRLs alone.")
@click.option("--usage", metavar="OID", help="The chain must be good for this extended key usage.")
@click.option("--issuance-policy", metavar="OID", help="The chain must have this certificate policy.")
@click.option(
    "--time-nesting",
    is_flag=True,
    help="Want each validity within the issuer's, as Windows once did (CERT_TRUST_IS_NOT_TIME_NESTED).",
)
@click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"]),
    help="Judge as of this instant, in UTC.",
)
@click.option(
    "--openssl-cross-check",
    is_flag=True,
    help="Have `openssl verify` judge the same, and show where it disagrees.",
)
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
def verify(
    certificate: Path,
    ca_files: tuple[Path, ...],
    data_dir: Path | None,
    store: Path | None,
    system: bool,
    distrusted_files: tuple[Path, ...],
    untrusted_files: tuple[Path, ...],
    crl_files: tuple[Path, ...],
    url_fetch: bool,
    no_ocsp: bool,
    usage: str | None,
    issuance_policy: str | None,
    time_nesting: bool,
    at: datetime | None,
    openssl_cross_check: bool,
    json_output: bool,
) -> None:
    """Build the chain of CERTIFICATE (PEM, DER or PKCS#7; - for standard input) and judge it.

    Further certificates in the same file serve as intermediates. Revocation is checked when --crl or
    --url-fetch is given. Exit status: 0 trusted, 1 not trusted, 2 could not run.
    """
    leaf, *others = _certificates(certificate)
    intermediates = others + [found for path in untrusted_files for found in _certificates(path)]
    pki = None if data_dir is None else PkiFolder(data_dir)
    stores = None if store is None else _stores(store)
    anchors = _anchors(ca_files, pki, stores, system)
    distrusted = [found for path in distrusted_files for found in _certificates(path)]
    if pki is not None:
        for generation in reversed(pki.issuing_generations()):
            intermediates += _certificates(generation / "issuing.crt")
    if stores is not None:
        intermediates += stores.intermediate.certificates
        distrusted += stores.disallowed.certificates
    fetcher = HttpUrlFetcher() if url_fetch else None
    crls = tuple(_crl(path) for path in crl_files)
    sources = RevocationSources(crls=crls, fetcher=fetcher, ocsp=not no_ocsp, entropy=os.urandom)
    context = build_chain(
        leaf,
        anchors=anchors,
        at=at.replace(tzinfo=UTC) if at is not None else SystemClock().now(),
        intermediates=intermediates,
        revocation=sources if crls or fetcher else None,
        fetcher=fetcher,
        rules=ChainRules(
            usage=usage,
            issuance_policy=issuance_policy,
            distrusted=TrustAnchors.of(distrusted, origin="the certificates that are refused"),
            time_nesting=time_nesting,
        ),
    )
    _print(context, anchors, openssl_cross_check, json_output)
    sys.exit(0 if context.trusted else 1)


def _print(context: ChainContext, anchors: TrustAnchors, compare: bool, json_output: bool) -> None:
    try:
        compared = cross_check(context, anchors) if compare else None
    except CrossCheckUnavailable as error:
        raise click.UsageError(str(error)) from error
    if json_output:
        document = as_json(context)
        if compared is not None:
            document["openssl"] = compared.as_json()
        click.echo(json.dumps(document, indent=2))
        return
    for line in compared.lines() if compared is not None else ():
        click.echo(line)
    click.echo(render_text(context))


def _stores(folder: Path) -> CertificateStores:
    try:
        return CertificateStores.of_folder(folder)
    except (OSError, UnreadableCertificate) as error:
        raise click.UsageError(str(error)) from error


def _anchors(
    ca_files: tuple[Path, ...], pki: PkiFolder | None, stores: CertificateStores | None, system: bool
) -> TrustAnchors:
    given = [*ca_files, *([pki.issuing_root_certificate] if pki is not None else [])]
    if not given and not system and stores is None:
        raise click.UsageError(
            "nothing to trust: give --ca-file FILE, --data-dir DIR, --store DIR or --system"
        )
    certificates = [found for path in given for found in _certificates(path)]
    origins = [str(path) for path in given]
    if stores is not None:
        certificates += stores.root.certificates
        origins.append(stores.root.origin)
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
