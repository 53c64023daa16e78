"""A fault of a dependency looks from outside like its real cause, and is as harmless to what is kept.

Each real cause is brought about in a lab of its own: a template is taken off, a permission is withdrawn, the
database is locked by another process, an RA key is spoilt. Then the fault is met in the same lab, mended.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from flow.stand import HandClock
from forge import openssl
from forge.keys import KeyPool

from ca.certificates import TbsCertificate
from ca.errors import ServiceUnavailable
from ca.opening import open_authority
from faults.stand import Sent, Side
from lab import ScepLab
from lab.faults.engine import path_of

PROFILES = ("modern", "ndes-2019", "ndes-2012r2")
SETTINGS = {"pki": {"check_request_agent_revocation": True}}
RealCause = Callable[[ScepLab], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def keys() -> KeyPool:
    return KeyPool()


@pytest.fixture(scope="module", params=PROFILES)
def scep_lab(request: pytest.FixtureRequest) -> Iterator[ScepLab]:
    with ScepLab(SETTINGS, profile=request.param, clock=HandClock()) as running:
        yield running


@pytest.fixture(autouse=True)
def as_new(scep_lab: ScepLab) -> None:
    scep_lab.reset()


# -- real causes ---------------------------------------------------------------------------


def _template_name(scep_lab: ScepLab) -> str:
    return scep_lab.world.settings.scep.endpoints["default"].templates.general_purpose


@contextmanager
def _with_templates(scep_lab: ScepLab, **changes: object) -> Iterator[None]:
    """Change the template that requests are issued under."""
    authority = scep_lab.world.authority
    before = authority.templates
    template = before.find(_template_name(scep_lab))
    assert template is not None
    authority.templates = before.having(template.model_copy(update=changes))
    try:
        yield
    finally:
        authority.templates = before


def _template_taken_off(scep_lab: ScepLab) -> AbstractContextManager[None]:
    return _with_templates(scep_lab, published=False)


def _enroll_withdrawn(scep_lab: ScepLab) -> AbstractContextManager[None]:
    template = scep_lab.world.authority.templates.find(_template_name(scep_lab))
    assert template is not None
    security = template.security
    return _with_templates(scep_lab, security=security.model_copy(update={"enroll": ()}))


@contextmanager
def _another_ca(scep_lab: ScepLab, **options: object) -> Iterator[None]:
    world = scep_lab.world
    before = world.authority
    pki = options.pop("pki", world.pki)
    world.authority = open_authority(
        world.folder,
        pki,
        clock=world.clock,
        entropy=world.entropy,
        **options,  # type: ignore[arg-type]
    )
    world.service = world.new_service()
    try:
        yield
    finally:
        world.authority = before
        world.service = world.new_service()


class _NoAnswer:
    """A CA whose service is stopped."""

    def sign(self, tbs: TbsCertificate) -> bytes:
        raise ServiceUnavailable("the CA does not answer")


def _stopped(scep_lab: ScepLab) -> AbstractContextManager[None]:
    return _another_ca(scep_lab, signer=_NoAnswer())


def _request_withdrawn(scep_lab: ScepLab) -> AbstractContextManager[None]:
    pki = scep_lab.world.pki.model_copy(update={"request_certificates": ("Somebody Else",)})
    return _another_ca(scep_lab, pki=pki)


@contextmanager
def _no_crl(scep_lab: ScepLab) -> Iterator[None]:
    world = scep_lab.world
    contents = world.store.contents()
    rows = {table: () if table == "crls" else rows for table, rows in contents.rows.items()}
    world.store.reset(replace(contents, rows=rows))
    yield


@contextmanager
def _read_only(scep_lab: ScepLab) -> Iterator[None]:
    """Have the database refuse to write, as one on a disk that was mounted so."""
    backend = scep_lab.world.store._backend  # type: ignore[attr-defined]
    backend._writer_connection().exec_driver_sql("PRAGMA query_only=ON")
    backend._writer_connection().commit()
    yield  # a connection that has failed is not used again


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _restarted(scep_lab: ScepLab) -> Iterator[None]:
    """Forget the passwords, as a restart does."""
    world = scep_lab.world
    contents = world.store.contents()
    rows = {table: () if table == "challenges" else rows for table, rows in contents.rows.items()}
    world.store.reset(replace(contents, rows=rows))
    yield


@contextmanager
def _key_gone(scep_lab: ScepLab) -> Iterator[None]:
    world = scep_lab.world
    file = world.folder.ra_encryption_certificate
    good = file.read_bytes()
    file.unlink()
    world._registration_authority = None
    world.service.recycle()
    try:
        yield
    finally:
        file.write_bytes(good)
        world._registration_authority = None
        world.service.recycle()


CAUSES: dict[str, RealCause] = {
    "dependency::template-unpublished": _template_taken_off,
    "dependency::template-permission-withdrawn": _enroll_withdrawn,
    "dependency::ca-permission-withdrawn": _request_withdrawn,
    "dependency::ca-revocation-offline": _no_crl,
    "dependency::store-read-only": _read_only,
    "dependency::ca-down": _stopped,
    "dependency::ca-key-unavailable": _stopped,
    "dependency::challenge-cache-lost": _restarted,
    "dependency::ra-certificate-missing": _key_gone,
}


# -- what is seen of them --------------------------------------------------------------------

_OWN = re.compile(r"^(Date|Content-Length|X-Ndes-Lab-Fault)$")
_ATTRIBUTE = re.compile(r"object: (.*)\n\s+(?:value\.)?set:\n\s+(.*(?:\n\s+[0-9a-f]{4} - .*)*)")
_FRESH = ("senderNonce", "signingTime", "messageDigest", "2.16.840.1.113733.1.9.5", "2.16.840.1.113733.1.9.7")


def _outside(scep_lab: ScepLab, sent: Sent) -> dict[str, object]:
    """Return everything that a client and an administrator see of one request."""
    found: dict[str, object] = {
        "status": sent.response.status,
        "headers": [(name, value) for name, value in sent.response.headers if not _OWN.match(name)],
    }
    if sent.response.header("Content-Type") == "application/x-pki-message":
        attributes = _ATTRIBUTE.findall(sent.printed())
        assert attributes
        fresh = (*_FRESH, "1.2.840.113549.1.9.5", "1.2.840.113549.1.9.4")
        found["attributes"] = [pair for pair in attributes if not any(each in pair[0] for each in fresh)]
    else:
        found["body"] = sent.reply
    found["refused by"] = scep_lab.journal[-1].verdict.refused_by
    return found


def _events(scep_lab: ScepLab) -> list[tuple[object, ...]]:
    log = scep_lab.world.ndes_logs.events
    restarted = {1, 3}  # as some real causes want
    return [(event.id, event.text) for event in log.events() if event.id not in restarted]


def _kept(scep_lab: ScepLab) -> dict[str, int]:
    return {table: len(rows) for table, rows in scep_lab.world.store.contents().rows.items()}


class _Informed(Side):
    """A client that has the RA's certificates already, whatever becomes of them at the server."""

    def __init__(self, scep_lab: ScepLab, url: str, pki: str, keys: KeyPool) -> None:
        super().__init__(scep_lab, url, pki, keys)
        authority = scep_lab.world.registration_authority
        self._known = {0x20: authority.encryption.der, 0x80: authority.signing.der}

    def _ra(self, usage: int) -> bytes:
        return self._known[usage]

    def issued(self, sent: Sent, folder: Path) -> bytes:
        """Return what is issued again to who sends the same octets again; NDES sends no signer along."""
        reply = self.again(sent).reply
        signer = folder / "ra.pem"
        signer.write_bytes(openssl.run("x509", "-inform", "DER", stdin=self._known[0x80]))
        trust = ("-noverify", "-binary", "-certfile", str(signer))
        envelope = openssl.run("cms", "-verify", *trust, "-inform", "DER", stdin=reply)
        opened = openssl.decrypt_by_command(envelope, key_pem=sent.key.pem, certificate=sent.certificate)
        return openssl.run("pkcs7", "-print_certs", "-inform", "DER", stdin=opened)


def _side(scep_lab: ScepLab, keys: KeyPool, fault_id: str | None = None) -> _Informed:
    url = scep_lab.scep_url
    if fault_id is not None:
        url = scep_lab._lab.scep_base_url + path_of(fault_id, "/scep")
    return _Informed(scep_lab, url, scep_lab.pki_url, keys)


@pytest.mark.parametrize("fault_id", CAUSES)
def test_looks_like_the_real_cause(scep_lab: ScepLab, keys: KeyPool, fault_id: str) -> None:
    def met(cause: AbstractContextManager[None], side: Side) -> tuple[dict[str, object], list[object]]:
        _side(scep_lab, keys).get("GetCACaps")  # what the first request does is done
        challenge, before = scep_lab.new_challenge(), len(_events(scep_lab))
        with cause:
            sent = side.enrol(challenge=challenge, name="the-same", transaction_id="7" * 40)
            seen = _outside(scep_lab, sent)
        return seen, list(_events(scep_lab)[before:])

    really = met(CAUSES[fault_id](scep_lab), _side(scep_lab, keys))
    scep_lab.reset()
    by_fault = met(_nothing(), _side(scep_lab, keys, fault_id))
    assert by_fault == really


# -- nothing is half done --------------------------------------------------------------------

NOTHING_KEPT = [
    "dependency::store-locked",
    "dependency::store-read-only",
    "dependency::store-full",
    "dependency::store-unreachable",
    "dependency::store-corrupt",
    "dependency::store-fails-at-commit",
    "dependency::store-conflicts",
    "dependency::ca-down",
    "dependency::ca-key-unavailable",
    "dependency::template-unpublished",
    "dependency::template-permission-withdrawn",
    "dependency::ca-permission-withdrawn",
    "dependency::ca-revocation-offline",
    "dependency::ca-certificate-ended",
    "dependency::ra-key-unavailable",
    "dependency::challenge-cache-lost",
    "dependency::challenge-spent-elsewhere",
    "dependency::challenge-ran-out",
]


@pytest.mark.parametrize("fault_id", NOTHING_KEPT)
def test_leaves_nothing_behind_and_the_same_request_is_then_granted(
    scep_lab: ScepLab, keys: KeyPool, tmp_path: Path, fault_id: str
) -> None:
    clean, faulty = _side(scep_lab, keys), _side(scep_lab, keys, fault_id)
    challenge = scep_lab.new_challenge()
    before = _kept(scep_lab)
    sent = faulty.enrol(challenge=challenge)
    assert _kept(scep_lab) == before
    first, second = clean.issued(sent, tmp_path), clean.issued(sent, tmp_path)
    assert first == second
    assert _kept(scep_lab)["certificates"] == before["certificates"] + 1


def test_what_was_kept_before_the_failure_is_handed_out_again(
    scep_lab: ScepLab, keys: KeyPool, tmp_path: Path
) -> None:
    clean, faulty = _side(scep_lab, keys), _side(scep_lab, keys, "dependency::store-fails-after-commit")
    before = _kept(scep_lab)
    sent = faulty.enrol()
    after = _kept(scep_lab)
    assert after["certificates"] == before["certificates"] + 1
    assert clean.issued(sent, tmp_path) == clean.issued(sent, tmp_path)
    assert _kept(scep_lab) == after


@pytest.mark.parametrize("fault_id", ["ca-slow", "store-slow", "store-locked"])
def test_who_waits_keeps_nobody_else_waiting(
    scep_lab: ScepLab, keys: KeyPool, monkeypatch: pytest.MonkeyPatch, fault_id: str
) -> None:
    waiting, enough = threading.Event(), threading.Event()

    def wait(_seconds: float, _ending: object) -> bool:
        waiting.set()
        return enough.wait(60)

    monkeypatch.setattr(scep_lab._lab.faults, "wait", wait)
    slow = _side(scep_lab, keys, f"dependency::{fault_id}")
    thread = threading.Thread(target=slow.enrol)
    thread.start()
    assert waiting.wait(60)
    before = _kept(scep_lab)["certificates"]
    assert _side(scep_lab, keys).enrol().response.status == 200
    assert _kept(scep_lab)["certificates"] == before + 1
    assert thread.is_alive()
    enough.set()
    thread.join(60)
    assert not thread.is_alive()
