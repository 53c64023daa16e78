"""A TLS server's files, kept up to date: key and certificate from the issuing CA, and the CAs to trust.

Key and certificates are one file, so that no crash leaves halves that do not belong together; web servers
read both from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography import x509

from ca.certificates import BadCertificate, read_certificate
from ca.folders import PRIVATE, PUBLIC, PkiUnreadable, pem_certificate, replace_file, to_pem
from ca.handing_over import make_folder
from ca.keys import PrivateKey, UnusableKey

from .server_certificate import ServerCertificate, general_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .world import World

SERVER: Final = "server.pem"  # key, certificate, issuing CA
TRUSTED: Final = "trusted.pem"  # root and issuing CA, by which a server judges its clients
ROOT: Final = "root.pem"  # what clients are told to trust


def keep_server_files(world: World, folder: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Write what is missing or out of date, and return the names of the files that were.

    ``names`` are the server's DNS names and addresses. A certificate is replaced when it is time, when it
    has other names, or when it is not of this PKI.

    Raises:
        CaError: the CA issues none.
        StoreUnavailable: the database cannot be used.
        OSError: the folder cannot be written.

    """
    owner = make_folder(folder)
    cas = (world.root, *world.issuing_certificates)
    wanted = {ROOT: to_pem(world.root.der), TRUSTED: b"".join(to_pem(one.der) for one in cas)}
    done = [name for name, content in wanted.items() if _content(folder / name) != content]
    for name in done:
        replace_file(folder / name, wanted[name], mode=PUBLIC, owner=owner)
    server = ServerCertificate(world, names)
    if not _is_good(world, server, _content(folder / SERVER), names):
        chain = server.issue()
        content = server.key.plain_pem() + b"".join(map(to_pem, chain))
        replace_file(folder / SERVER, content, mode=PRIVATE, owner=owner)
        done.append(SERVER)
    return tuple(done)


def _content(path: Path) -> bytes:
    """Return what is in a file; nothing, where there is none."""
    return path.read_bytes() if path.exists() else b""


def _is_good(world: World, server: ServerCertificate, content: bytes, names: Sequence[str]) -> bool:
    """Tell whether the certificate in a server's file is to stay."""
    try:
        found = read_certificate(pem_certificate(content))
        PrivateKey.from_pem(content, None)
    except (PkiUnreadable, BadCertificate, UnusableKey):
        return False
    issuers = {one.subject_key_id for one in world.issuing_certificates}
    in_time = found.not_before <= world.clock.now() < server.renewal_due(found)
    return (
        in_time and found.authority_key_id in issuers and _names(found.der) == set(map(general_name, names))
    )


def _names(certificate: bytes) -> set[x509.GeneralName]:
    try:
        extensions = x509.load_der_x509_certificate(certificate).extensions
        return set(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (ValueError, x509.ExtensionNotFound):
        return set()
