"""Keys judged by the openssl command line."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import subprocess
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from ca import der, keys
from ca.keys import DecryptionFailed, KeyKind, KeysAhead, PrivateKey, UnusableKey

DATA = b"to be signed"
PASSPHRASE = b"correct horse"


def openssl(*arguments: str, data: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def made() -> dict[KeyKind, PrivateKey]:
    return dict(zip(KeyKind, keys.generate_keys(list(KeyKind)), strict=True))


@pytest.fixture
def rsa_key(made: dict[KeyKind, PrivateKey]) -> PrivateKey:
    return made[KeyKind.RSA_2048]


def public_pem(folder: Path, key: PrivateKey) -> Path:
    path = folder / "public.pem"
    path.write_bytes(openssl("pkey", "-pubin", "-inform", "DER", data=key.public_key_der))
    return path


@pytest.mark.parametrize("kind", KeyKind)
@pytest.mark.parametrize("hash_name", ["sha1", "sha256", "sha384", "sha512"])
def test_openssl_verifies_signature(
    made: dict[KeyKind, PrivateKey], kind: KeyKind, hash_name: str, tmp_path: Path
) -> None:
    signature = tmp_path / "signature"
    signature.write_bytes(made[kind].sign(DATA, hash_name))
    public = public_pem(tmp_path, made[kind])
    answer = openssl("dgst", f"-{hash_name}", "-verify", str(public), "-signature", str(signature), data=DATA)
    assert answer == b"Verified OK\n"


@pytest.mark.parametrize(
    ("kind", "name", "has_null"),
    [
        (KeyKind.RSA_2048, b"sha256WithRSAEncryption", True),
        (KeyKind.RSA_4096, b"sha256WithRSAEncryption", True),
        (KeyKind.ECDSA_P256, b"ecdsa-with-SHA256", False),
        (KeyKind.ECDSA_P384, b"ecdsa-with-SHA384", False),
    ],
)
def test_openssl_reads_default_signature_algorithm(
    made: dict[KeyKind, PrivateKey], kind: KeyKind, name: bytes, has_null: bool
) -> None:
    listing = openssl("asn1parse", "-inform", "DER", data=made[kind].signature_algorithm_der)
    assert name in listing
    assert (b"NULL" in listing) is has_null


@pytest.mark.parametrize("kind", KeyKind)
def test_default_signature_is_of_the_default_algorithm(
    made: dict[KeyKind, PrivateKey], kind: KeyKind, tmp_path: Path
) -> None:
    hash_name = "sha384" if kind is KeyKind.ECDSA_P384 else "sha256"
    assert made[kind].signature_algorithm_der == made[kind].signature_algorithm(hash_name)
    signature = tmp_path / "signature"
    signature.write_bytes(made[kind].sign(DATA))
    public = public_pem(tmp_path, made[kind])
    assert openssl("dgst", f"-{hash_name}", "-verify", str(public), "-signature", str(signature), data=DATA)


def test_rejects_md5_signature(rsa_key: PrivateKey) -> None:
    with pytest.raises(UnusableKey, match="'md5'"):
        rsa_key.sign(DATA, "md5")
    with pytest.raises(UnusableKey, match="'md5'"):
        rsa_key.signature_algorithm("md5")


def test_subject_key_id_is_sha1_of_the_key_bits(rsa_key: PrivateKey) -> None:
    bits = openssl(
        "asn1parse", "-inform", "DER", "-strparse", "19", "-noout", "-out", "-", data=rsa_key.public_key_der
    )
    assert rsa_key.subject_key_id == hashlib.sha1(bits).digest()


def test_subject_key_id_rejects_other_octets() -> None:
    with pytest.raises(der.DerError):
        keys.subject_key_id(b"\x30\x00")


def test_decrypts_what_openssl_encrypts_with_pkcs1v15(rsa_key: PrivateKey, tmp_path: Path) -> None:
    public = public_pem(tmp_path, rsa_key)
    ciphertext = openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", str(public), data=b"content key")
    assert rsa_key.decrypt_pkcs1v15(ciphertext) == b"content key"


@pytest.mark.parametrize(
    ("hash_name", "mgf_hash_name"), [("sha1", "sha1"), ("sha256", "sha256"), ("sha256", "sha1")]
)
@pytest.mark.parametrize("label", [b"", b"label"])
def test_decrypts_what_openssl_encrypts_with_oaep(
    rsa_key: PrivateKey, hash_name: str, mgf_hash_name: str, label: bytes, tmp_path: Path
) -> None:
    public = public_pem(tmp_path, rsa_key)
    options = ["rsa_padding_mode:oaep", f"rsa_oaep_md:{hash_name}", f"rsa_mgf1_md:{mgf_hash_name}"]
    options += [f"rsa_oaep_label:{label.hex()}"] if label else []
    arguments = [word for option in options for word in ("-pkeyopt", option)]
    ciphertext = openssl(
        "pkeyutl", "-encrypt", "-pubin", "-inkey", str(public), *arguments, data=b"content key"
    )
    plaintext = rsa_key.decrypt_oaep(
        ciphertext, hash_name=hash_name, mgf_hash_name=mgf_hash_name, label=label
    )
    assert plaintext == b"content key"


def test_bad_pkcs1v15_padding_gives_octets_not_an_error(rsa_key: PrivateKey) -> None:
    assert isinstance(rsa_key.decrypt_pkcs1v15(b"\x01" * 256), bytes)


@pytest.mark.parametrize("ciphertext", [b"", b"\x01" * 255, b"\xff" * 256, b"\x01" * 257])
def test_rejects_ciphertext_of_wrong_size(rsa_key: PrivateKey, ciphertext: bytes) -> None:
    with pytest.raises(DecryptionFailed, match=r"^the octets do not decrypt$"):
        rsa_key.decrypt_pkcs1v15(ciphertext)


def test_rejects_bad_oaep_padding_and_label(rsa_key: PrivateKey, tmp_path: Path) -> None:
    with pytest.raises(DecryptionFailed):
        rsa_key.decrypt_oaep(b"\x01" * 256, hash_name="sha1", mgf_hash_name="sha1", label=b"")
    with pytest.raises(UnusableKey, match="md5"):
        rsa_key.decrypt_oaep(b"\x01" * 256, hash_name="md5", mgf_hash_name="sha1", label=b"")


def test_ecdsa_key_does_not_decrypt(made: dict[KeyKind, PrivateKey]) -> None:
    with pytest.raises(DecryptionFailed, match="ecdsa-p256"):
        made[KeyKind.ECDSA_P256].decrypt_pkcs1v15(b"\x01" * 256)


@pytest.mark.parametrize("kind", [KeyKind.RSA_2048, KeyKind.ECDSA_P384])
def test_key_file_is_encrypted_pkcs8_that_openssl_opens(
    made: dict[KeyKind, PrivateKey], kind: KeyKind, tmp_path: Path
) -> None:
    path = tmp_path / "issuing.key"
    keys.write_key_file(path, made[kind], PASSPHRASE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    public = openssl(
        "pkey", "-in", str(path), "-passin", f"pass:{PASSPHRASE.decode()}", "-pubout", "-outform", "DER"
    )
    assert public == made[kind].public_key_der
    assert keys.read_key_file(path, PASSPHRASE).public_key_der == made[kind].public_key_der
    assert list(tmp_path.iterdir()) == [path]


def test_key_file_is_not_overwritten_unasked(
    rsa_key: PrivateKey, made: dict[KeyKind, PrivateKey], tmp_path: Path
) -> None:
    path = tmp_path / "issuing.key"
    keys.write_key_file(path, rsa_key, PASSPHRASE)
    with pytest.raises(FileExistsError):
        keys.write_key_file(path, made[KeyKind.ECDSA_P256], PASSPHRASE)
    keys.write_key_file(path, made[KeyKind.ECDSA_P256], PASSPHRASE, replace=True)
    assert keys.read_key_file(path, PASSPHRASE).kind is KeyKind.ECDSA_P256


def test_failed_write_leaves_nothing(
    rsa_key: PrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        keys.write_key_file(tmp_path / "issuing.key", rsa_key, PASSPHRASE)
    assert list(tmp_path.iterdir()) == []


def test_empty_passphrase_is_refused(rsa_key: PrivateKey, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="passphrase"):
        keys.write_key_file(tmp_path / "issuing.key", rsa_key, b"")


def test_wrong_passphrase_missing_file_and_garbage_name_the_file(rsa_key: PrivateKey, tmp_path: Path) -> None:
    path = tmp_path / "issuing.key"
    with pytest.raises(UnusableKey, match=r"issuing\.key cannot be read: No such file"):
        keys.read_key_file(path, PASSPHRASE)
    keys.write_key_file(path, rsa_key, PASSPHRASE)
    with pytest.raises(UnusableKey, match=r"issuing\.key") as raised:
        keys.read_key_file(path, b"battery staple")
    assert "battery staple" not in str(raised.value)
    path.write_text("no key")
    with pytest.raises(UnusableKey, match=r"issuing\.key"):
        keys.read_key_file(path, PASSPHRASE)


@pytest.mark.parametrize(
    "foreign",
    [rsa.generate_private_key(65537, 1024), ed25519.Ed25519PrivateKey.generate()],
    ids=["rsa-1024", "ed25519"],
)
def test_rejects_kind_of_key_that_is_not_ours(foreign: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> None:
    pem = foreign.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(UnusableKey, match="expected"):
        PrivateKey.from_pem(pem, None)


def test_text_of_a_key_shows_kind_and_identifier_only(rsa_key: PrivateKey) -> None:
    assert repr(rsa_key) == f"<PrivateKey rsa-2048 {rsa_key.subject_key_id.hex()}>"


def test_refuses_an_rsa_key_whose_numbers_do_not_belong_together() -> None:
    numbers = rsa.generate_private_key(65537, 2048).private_numbers()
    public = numbers.public_numbers
    body = der.sequence(
        *map(
            der.integer,
            (0, public.n, public.e, numbers.d + 2, numbers.p, 0, numbers.dmp1, numbers.dmq1, numbers.iqmp),
        )
    )
    text = base64.encodebytes(body).decode()
    pem = f"-----BEGIN RSA PRIVATE KEY-----\n{text}-----END RSA PRIVATE KEY-----\n".encode()
    with pytest.raises(UnusableKey, match="do not belong together"):
        PrivateKey.from_pem(pem, None)


def test_keys_made_ahead_are_handed_out_once_and_for_their_kinds_alone() -> None:
    kinds = (KeyKind.ECDSA_P256, KeyKind.ECDSA_P384)
    with KeysAhead(kinds) as keys:
        first, again, others = keys(kinds), keys(kinds), keys(kinds[:1])
    assert [key.kind for key in first] == [key.kind for key in again] == list(kinds)
    assert [key.kind for key in others] == [KeyKind.ECDSA_P256]
    every = [key.public_key_der for key in (*first, *again, *others)]
    assert len(set(every)) == len(every)


def test_keys_made_ahead_for_other_kinds_are_not_handed_out() -> None:
    with KeysAhead([KeyKind.ECDSA_P384]) as keys:
        assert [key.kind for key in keys([KeyKind.ECDSA_P256])] == [KeyKind.ECDSA_P256]


def test_nothing_runs_on_once_keys_made_ahead_are_not_wanted() -> None:
    before = set(threading.enumerate())
    with KeysAhead([KeyKind.ECDSA_P256] * 4):
        pass
    assert set(threading.enumerate()) == before
