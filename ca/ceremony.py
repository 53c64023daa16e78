"""The key ceremony: root, issuing CA and the RA's two certificates, made all at once or not at all.

Everything is made in a working folder of its own; one rename at the end makes it the PKI. A process
that dies before leaves no PKI, one that dies after leaves the whole of it (see `ca.folders`). Of several
processes at one folder one holds the ceremony at a time; of several folders with one database, one ever.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .authority import CertificateAuthority
from .certificates import BadCertificate, CertificateInfo, read_certificate
from .drafting import new_serial_number
from .folders import (
    OPEN_FOLDER,
    PRIVATE,
    PUBLIC,
    PkiExists,
    PkiFolder,
    PkiUnreadable,
    flush,
    read_certificate_file,
    to_pem,
    write_file,
)
from .keys import PrivateKey, generate_keys
from .names import build_name
from .opening import database_url
from .pkcs10 import parse_request, sign_request
from .records import CertificateFilter
from .root import RootIndex, SignedByRoot, issuing_certificate, root_certificate, sign_root_crl
from .store import SqlStore
from .templates import TemplateSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from .clock import Clock
    from .keys import KeyKind
    from .records import CertificateRecord, StoreTransaction
    from .settings import PkiSettings

SIGNING_TEMPLATE = "EnrollmentAgentOffline"
ENCRYPTION_TEMPLATE = "CEPEncryption"
ADMINISTRATORS = "Enterprise Admins"  # who sets up NDES, and may enrol for its templates


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keys:
    root: PrivateKey
    issuing: PrivateKey
    ra_signing: PrivateKey
    ra_encryption: PrivateKey


def ensure_pki(
    folder: PkiFolder,
    settings: PkiSettings,
    *,
    clock: Clock,
    entropy: Callable[[int], bytes],
    make_keys: Callable[[Sequence[KeyKind]], Sequence[PrivateKey]] = generate_keys,
    durable: bool = True,
) -> None:
    """Hold the ceremony unless there is a PKI in ``folder``; raises as `hold_ceremony`.

    Of several processes that ask at once one holds it, and the others wait for it and have the same PKI;
    if it is killed meanwhile, the next one holds it.
    """
    if folder.settle():
        return
    with _alone(folder):
        if not folder.settle():
            _hold(folder, settings, clock, entropy, make_keys, durable=durable)


def hold_ceremony(
    folder: PkiFolder,
    settings: PkiSettings,
    *,
    clock: Clock,
    entropy: Callable[[int], bytes],
    make_keys: Callable[[Sequence[KeyKind]], Sequence[PrivateKey]] = generate_keys,
    durable: bool = True,
) -> None:
    """Make a PKI in ``folder``, which may exist and hold other files, such as templates.

    What is issued, and the first CRL, is remembered by the database that the settings name, or SQLite in
    the folder. Not ``durable`` skips flushing to disk, for folders that do not outlive the process.

    Raises:
        PkiExists: there is a PKI, or a part of one, or the database has the records of one.
        BadTemplate: one of the user's templates cannot be used.
        CaError: a template in the folder refuses the RA's certificates.
        StoreUnavailable: the database cannot be used.
        OSError: the folder cannot be written.

    """
    with _alone(folder):
        _hold(folder, settings, clock, entropy, make_keys, durable=durable)


@contextlib.contextmanager
def _alone(folder: PkiFolder) -> Iterator[None]:
    folder.path.mkdir(mode=OPEN_FOLDER, parents=True, exist_ok=True)
    with folder.locked():
        yield


def _hold(
    folder: PkiFolder,
    settings: PkiSettings,
    clock: Clock,
    entropy: Callable[[int], bytes],
    make_keys: Callable[[Sequence[KeyKind]], Sequence[PrivateKey]],
    *,
    durable: bool,
) -> None:
    folder.require_none()
    root_key, issuing_key, ra_signing, ra_encryption = make_keys(settings.ceremony_keys)
    keys = _Keys(root=root_key, issuing=issuing_key, ra_signing=ra_signing, ra_encryption=ra_encryption)
    unfinished = folder.unfinished()
    work = folder.new_unfinished(entropy(8).hex())
    ceremony = _Ceremony(PkiFolder(work), folder, settings, clock, entropy, keys, durable=durable)
    try:
        ceremony.hold(_issuers(unfinished))
        folder.commit(work, durable=durable)
    except BaseException:
        if not ceremony.remembered_elsewhere:
            shutil.rmtree(work, ignore_errors=True)
        raise
    for leftover in unfinished:
        shutil.rmtree(leftover, ignore_errors=True)


def _issuers(unfinished: Sequence[Path]) -> frozenset[str]:
    """Return the CA keys, by id, of ceremonies that did not come to their end.

    What they left in a database is no PKI's: nothing was ever served with these keys. A file that cannot
    be read is of one that had not come to its database.
    """
    found = set()
    for work in unfinished:
        with contextlib.suppress(PkiUnreadable, BadCertificate):
            issuing = read_certificate(read_certificate_file(PkiFolder(work).issuing_certificate))
            found.add((issuing.subject_key_id or b"").hex())
    return frozenset(found)


class _Ceremony:
    """One ceremony: writes into ``work``, whose files will be ``folder``'s."""

    def __init__(
        self,
        work: PkiFolder,
        folder: PkiFolder,
        settings: PkiSettings,
        clock: Clock,
        entropy: Callable[[int], bytes],
        keys: _Keys,
        *,
        durable: bool,
    ) -> None:
        self.remembered_elsewhere = False  # than in the working folder, and not to be undone from here
        self._work = work
        self._folder = folder
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._keys = keys
        self._durable = durable
        self._now: datetime = clock.now().replace(microsecond=0)

    def hold(self, unfinished: frozenset[str]) -> None:
        passphrase = self._secrets()
        root = self._root()
        issuing = self._issuing(root, passphrase)
        signing, encryption = self._remember(root, issuing, unfinished)
        for path, key, certificate in (
            (self._work.ra_signing_key, self._keys.ra_signing, signing),
            (self._work.ra_encryption_key, self._keys.ra_encryption, encryption),
        ):
            write_file(path, key.encrypted_pem(passphrase), mode=PRIVATE)
            write_file(path.with_suffix(".crt"), to_pem(certificate.der), mode=PUBLIC)
        self._minutes(root, issuing, read_certificate(signing.der), read_certificate(encryption.der))

    def _secrets(self) -> bytes:
        """Write the secrets that the settings do not hold; return the passphrase of the serving keys."""
        if self._settings.challenge_digest_key is None:
            write_file(self._work.challenge_digest_key, self._entropy(32).hex().encode(), mode=PRIVATE)
        given = self._settings.key_passphrase
        return given.get_secret_value().encode() if given else self._new(self._work.key_passphrase)

    def _new(self, path: Path) -> bytes:
        passphrase = self._entropy(32).hex().encode()
        write_file(path, passphrase, mode=PRIVATE)
        return passphrase

    def _root(self) -> CertificateInfo:
        given = self._settings.root_passphrase
        passphrase = given.get_secret_value().encode() if given else self._new(self._work.root_passphrase)
        serial = new_serial_number(self._entropy)
        octets = root_certificate(self._settings, self._keys.root, self._now, serial)
        write_file(self._work.root_key, self._keys.root.encrypted_pem(passphrase), mode=PRIVATE)
        for path in (self._work.root_certificate, self._work.issuing_root_certificate):
            write_file(path, to_pem(octets), mode=PUBLIC)
        return read_certificate(octets)

    def _issuing(self, root: CertificateInfo, passphrase: bytes) -> CertificateInfo:
        octets = issuing_certificate(
            self._settings,
            root=root,
            root_key=self._keys.root,
            key=self._keys.issuing,
            now=self._now,
            serial_number=new_serial_number(self._entropy),
            locations=self._settings.root_locations,
        )
        issuing = read_certificate(octets)
        index = RootIndex(crl_number=1, certificates=(SignedByRoot.of(issuing),))
        crl = sign_root_crl(self._settings, root, self._keys.root, index, self._now)
        write_file(self._work.root_index, index.encode(), mode=PRIVATE)
        for path in (self._work.root_crl, self._work.issuing_root_crl):
            write_file(path, crl, mode=PUBLIC)
        write_file(self._work.issuing_key, self._keys.issuing.encrypted_pem(passphrase), mode=PRIVATE)
        write_file(self._work.issuing_certificate, to_pem(octets), mode=PUBLIC)
        return issuing

    def _remember(
        self, root: CertificateInfo, issuing: CertificateInfo, unfinished: frozenset[str]
    ) -> tuple[CertificateRecord, CertificateRecord]:
        """Issue the RA's certificates as any others, and sign the first CRL, in the PKI's database."""
        elsewhere = self._settings.database_url is not None
        if elsewhere and self._durable:  # so that the next ceremony knows whose records those are
            flush(self._work.path)
        store = SqlStore.open(database_url(self._work, self._settings), durable=self._durable)
        try:
            with store.founding() as transaction:
                _require_no_records(transaction, unfinished, self._now)
                self.remembered_elsewhere = elsewhere
                issued = self._issue(transaction, authority := self._authority(root, issuing))
            authority.sign_crls(store)
        finally:
            store.close()
        if self._work.store.exists():
            self._work.store.chmod(PRIVATE)
        return issued

    def _authority(self, root: CertificateInfo, issuing: CertificateInfo) -> CertificateAuthority:
        return CertificateAuthority(
            certificate=issuing,
            chain=(root.der,),
            key=self._keys.issuing,
            templates=TemplateSet.load(self._folder.templates),
            clock=self._clock,
            entropy=self._entropy,
            locations=self._settings.issuing_locations,
            settings=administrators_settings(self._settings),
        )

    def _issue(
        self, transaction: StoreTransaction, authority: CertificateAuthority
    ) -> tuple[CertificateRecord, CertificateRecord]:
        subject = build_name(self._settings.ra_subject)
        signing, encryption = (
            authority.issue(
                transaction,
                authority.prepare(
                    transaction,
                    parse_request(sign_request(subject, key)),
                    template=template,
                    requester=ADMINISTRATORS,
                ),
            )
            for template, key in (
                (SIGNING_TEMPLATE, self._keys.ra_signing),
                (ENCRYPTION_TEMPLATE, self._keys.ra_encryption),
            )
        )
        return signing, encryption

    def _minutes(self, root: CertificateInfo, *others: CertificateInfo) -> None:
        content: dict[str, Any] = {"held_at": self._now.isoformat(), "public_url": self._settings.public_url}
        titles = ("root", "issuing", "ra_signing", "ra_encryption")
        for title, certificate in zip(titles, (root, *others), strict=True):
            content[title] = {
                "subject": certificate.subject,
                "serial_number": f"{certificate.serial_number:x}",
                "not_after": certificate.not_after.isoformat(),
                "key": getattr(self._keys, title).kind.value,
                "sha256": certificate.sha256,
                "sha1": certificate.sha1,
            }
        path = self._work.path / self._work.minutes.name  # the work folder itself becomes ceremony/
        write_file(path, (json.dumps(content, indent=2) + "\n").encode(), mode=PUBLIC)


def administrators_settings(settings: PkiSettings) -> PkiSettings:
    """Return the settings under which administrators hand in requests by themselves, not by an agent."""
    return settings.model_copy(
        update={"request_certificates": (ADMINISTRATORS,), "check_request_agent_revocation": False}
    )


def _require_no_records(transaction: StoreTransaction, unfinished: frozenset[str], now: datetime) -> None:
    """Raise PkiExists if the database has certificates of a CA other than ``unfinished`` ceremonies left."""
    found = transaction.find_certificates(CertificateFilter(), now=now)
    if any(record.issuer_key_id not in unfinished for record in found):
        raise PkiExists(
            "the database holds the records of a PKI whose keys are not in this folder: bring the folder "
            "back, or name an empty database; several servers share both, the folder and the database"
        )
