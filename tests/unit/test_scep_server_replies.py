"""What replies look like: mirrored algorithms, RA keys, topologies, Microsoft's attributes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from forge import asn1, openssl
from forge.envelope import Envelope, KeyTransport
from forge.message import SIGNING_TIME, PkiMessage
from forge.reply import read_degenerate, read_reply
from scep_world import Client, World, ca_key, make_certificate

from ca import extensions
from ca.certificates import CertificateInfo
from ca.extensions import KeyUsage
from ca.keys import KeyKind
from scep_server.ca_certificates import NextCa, ca_response
from scep_server.ndes.profiles import MODERN
from scep_server.protocol.codec import ScepCodec
from scep_server.ra import (
    KeyMessageSigner,
    MismatchedKey,
    RaIdentity,
    RegistrationAuthority,
    RetiredIdentity,
)
from scep_server.settings import CaCertificateSettings

if TYPE_CHECKING:
    from pathlib import Path

SCEP_ERROR = "1.3.6.1.4.1.311.21.33"
SERVER_MESSAGE = "1.3.6.1.4.1.311.21.38"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def _with_oaep(client: Client, challenge: str, digest: str) -> bytes:
    recipient = KeyTransport(certificate=client.world.encryption.der, oaep=digest)
    envelope = Envelope(plaintext=client.csr(challenge), recipients=[recipient])
    return PkiMessage(
        key=client.signer,
        certificate=client.certificate,
        content=envelope.encode(),
        transaction_id=client.transaction_id,
        sender_nonce=b"nonce-of-16-byte",
    ).encode()


@pytest.mark.parametrize("digest", ["sha1", "sha224", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("cipher", ["3des", "aes128", "aes192", "aes256"])
def test_digest_and_cipher_are_those_of_the_request(world: World, digest: str, cipher: str) -> None:
    client = Client(world=world)
    message = client.request(world.new_challenge(), digest=digest, envelope={"cipher": cipher})
    reply = client.send(message)
    assert reply.digest == digest
    client.opened(reply, cipher=cipher)


@pytest.mark.parametrize("digest", ["sha1", "sha256"])
def test_key_transport_is_that_of_the_request(world: World, digest: str) -> None:
    client = Client(world=world)
    client.obtain(_with_oaep(client, world.new_challenge(), digest), oaep=digest)


def test_md5_and_single_des_are_never_sent(world: World) -> None:
    client = Client(world=world)
    message = client.request(world.new_challenge(), digest="md5", envelope={"cipher": "des"})
    reply = client.send(message)
    assert reply.digest == "sha256"
    client.opened(reply, cipher="aes128")


def test_a_success_carries_the_leaf_alone_and_fits_sscep(world: World) -> None:
    client = Client(world=world)
    reply = client.send(client.request(world.new_challenge()))
    assert len(client.opened(reply).certificates) == 1
    assert len(reply.raw) < 16_384


def test_signing_time_is_ours_to_the_second(world: World) -> None:
    world.clock.advance(microseconds=7)
    client = Client(world=world)
    found = client.send(client.request("wrong")).attributes[SIGNING_TIME]
    assert (found.tag, found.content) == (0x17, b"260301120000Z")


def test_microsofts_attributes_are_sent_where_a_profile_has_them(world: World) -> None:
    profile = replace(
        MODERN, microsoft_attributes=True, include_signer=False, signing_time=False, empty_content="nul-octet"
    )
    world.service = world.make_service(profile=profile)
    client = Client(world=world)
    failure = read_reply(world.post(client.request("wrong")).body)
    assert failure.attributes[SCEP_ERROR].raw == asn1.string(asn1.PRINTABLE, "-2147023728")
    assert failure.content == b"\x00"
    assert failure.certificates == ()
    assert SIGNING_TIME not in failure.attributes
    success = read_reply(world.post(client.request(world.new_challenge())).body)
    assert success.attributes[SERVER_MESSAGE].raw == asn1.string(asn1.UTF8, "Issued")
    assert SCEP_ERROR not in success.attributes


# -- the RA ----------------------------------------------------------------------------


def _identity(world: World, name: str, *usages: KeyUsage, ca: bool = False) -> RaIdentity:
    more = [extensions.key_usage(usages)]
    if ca:
        more.append(extensions.basic_constraints(is_ca=True))
    certificate = make_certificate(f"CN={name}", ca_key(name), world.issuing, ca_key("issuing"), *more)
    return RaIdentity(certificate=certificate, key=ca_key(name))


def test_a_certificate_and_a_foreign_key_are_no_identity(world: World) -> None:
    with pytest.raises(MismatchedKey, match=r"CN=Test RA"):
        RaIdentity(certificate=world.signing, key=ca_key("encryption"))


def test_a_retired_key_opens_requests_until_its_day(world: World) -> None:
    old = RaIdentity(certificate=world.encryption, key=ca_key("encryption"))
    new = _identity(world, "new encryption", KeyUsage.KEY_ENCIPHERMENT)
    signing = RaIdentity(certificate=world.signing, key=ca_key("signing"))
    retired = RetiredIdentity(identity=old, until=world.clock.now() + timedelta(days=7))
    world.service = world.make_service(
        registration_authority=RegistrationAuthority(signing=signing, encryption=new, retired=[retired])
    )
    client = Client(world=world)
    assert read_reply(world.post(client.request(world.new_challenge())).body).status == "0"
    world.clock.advance(days=8)
    client = Client(world=world)
    assert read_reply(world.post(client.request(world.new_challenge())).body).fail_info == 1


def test_a_signing_certificate_for_signatures_opens_nothing(world: World) -> None:
    assert len(world.registration_authority.decryptors(world.clock.now())) == 1


def test_one_ra_certificate_may_do_both(world: World) -> None:
    both = _identity(world, "both", KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_ENCIPHERMENT)
    authority = RegistrationAuthority(signing=both, encryption=both)
    assert [one.der for one in authority.certificates] == [both.certificate.der]
    world.service = world.make_service(registration_authority=authority)
    world.signing = world.encryption = both.certificate
    Client(world=world).enrol()


def test_tells_which_ra_certificates_expire(world: World) -> None:
    authority, now = world.registration_authority, world.clock.now()
    assert authority.expiring(now, timedelta(days=30)) == ()
    late = world.signing.not_after - timedelta(days=29)
    assert [one.der for one in authority.expiring(late, timedelta(days=30))] == [
        world.signing.der,
        world.encryption.der,
    ]


# -- GetCACert and GetNextCACert -------------------------------------------------------


def _response(world: World, ra: Any, issuing: CertificateInfo, chain: Any, **settings: Any) -> Any:
    return ca_response(
        ScepCodec(), ra=ra, issuing=issuing, chain=chain, settings=CaCertificateSettings(**settings)
    )


def test_t1_a_root_that_is_its_own_ra_is_sent_as_one_certificate(world: World) -> None:
    found = _response(world, [world.root], world.root, [])
    assert (found.content_type, found.body) == ("application/x-x509-ca-cert", world.root.der)


def test_t2_an_intermediate_that_is_its_own_ra_is_sent_with_its_root(world: World) -> None:
    found = _response(world, [world.issuing], world.issuing, [world.root])
    assert found.content_type == "application/x-x509-ca-ra-cert"
    assert read_degenerate(found.body).certificates == (world.issuing.der, world.root.der)


def test_the_root_may_be_left_out_and_the_ca_may_come_first(world: World) -> None:
    ra = [world.signing, world.encryption]
    found = _response(world, ra, world.issuing, [world.root], include_root=False, order="ca-first")
    assert read_degenerate(found.body).certificates == (
        world.issuing.der,
        world.signing.der,
        world.encryption.der,
    )


@pytest.mark.parametrize("kind", [KeyKind.RSA_2048, KeyKind.ECDSA_P256])
def test_the_next_ca_is_vouched_for_by_the_present_one(world: World, kind: KeyKind) -> None:
    key = ca_key(f"present {kind.value}", kind)
    present = make_certificate("CN=Present CA", key, None, key, extensions.basic_constraints(is_ca=True))
    signer = KeyMessageSigner(RaIdentity(certificate=present, key=key))
    world.service = world.make_service(next_ca=NextCa(certificates=(world.root.der,), signer=signer))
    assert b"GetNextCACert\n" in world.handle(query="operation=GetCACaps").body
    reply = world.handle(query="operation=GetNextCACert")
    assert (reply.status, reply.content_type) == (200, "application/x-x509-next-ca-cert")
    content = openssl.run("cms", "-verify", "-noverify", "-binary", "-inform", "DER", stdin=reply.body)
    assert read_degenerate(content).certificates == (world.root.der,)
