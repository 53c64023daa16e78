"""Content encryption: padding is held to RFC 5652 6.3, and single DES is that of openssl."""

from __future__ import annotations

import pytest
from forge import openssl

from scep_server.protocol.algorithms import ContentCipher
from scep_server.protocol.ciphers import decrypt, encrypt, transform

_NAMES = {
    ContentCipher.DES_EDE3_CBC: "-des-ede3-cbc",
    ContentCipher.AES_128_CBC: "-aes-128-cbc",
    ContentCipher.AES_192_CBC: "-aes-192-cbc",
    ContentCipher.AES_256_CBC: "-aes-256-cbc",
}


@pytest.mark.parametrize("cipher", list(ContentCipher))
@pytest.mark.parametrize("size", [0, 1, 7, 8, 15, 16, 17, 100])
def test_openssl_decrypts_what_we_encrypt(cipher: ContentCipher, size: int) -> None:
    key, iv = bytes(range(cipher.key_size)), bytes(cipher.block_size)
    plaintext = b"p" * size
    ciphertext = encrypt(cipher, key, iv, plaintext)
    assert decrypt(cipher, key, iv, ciphertext) == plaintext
    name, key = _NAMES.get(cipher, "-des-ede3-cbc"), key * 3 if cipher is ContentCipher.DES_CBC else key
    judged = openssl.run("enc", "-d", name, "-K", key.hex(), "-iv", iv.hex(), stdin=ciphertext)
    assert judged == plaintext


@pytest.mark.parametrize(
    "padded",
    [
        b"x" * 15 + b"\x00",
        b"x" * 15 + b"\x11",
        b"x" * 14 + b"\x01\x02",
        b"x" * 13 + b"\x03\x02\x03",
        b"\x10" * 15 + b"\x20",
    ],
)
def test_wrong_padding_is_none(padded: bytes) -> None:
    key, iv = b"k" * 16, b"i" * 16
    ciphertext = transform(ContentCipher.AES_128_CBC, key, iv, padded, decrypt=False)
    assert decrypt(ContentCipher.AES_128_CBC, key, iv, ciphertext) is None


@pytest.mark.parametrize(
    ("iv", "ciphertext"),
    [
        (None, b"c" * 16),
        (b"", b"c" * 16),
        (b"i" * 15, b"c" * 16),
        (b"i" * 16, None),
        (b"i" * 16, b""),
        (b"i" * 16, b"c" * 17),
    ],
)
def test_wrong_sizes_are_none(iv: bytes | None, ciphertext: bytes | None) -> None:
    assert decrypt(ContentCipher.AES_128_CBC, b"k" * 16, iv, ciphertext) is None


def test_a_good_ciphertext_with_a_bad_vector_is_none() -> None:
    key, iv = b"k" * 16, b"i" * 16
    ciphertext = encrypt(ContentCipher.AES_128_CBC, key, iv, b"two blocks of plaintext")
    assert decrypt(ContentCipher.AES_128_CBC, key, None, ciphertext) is None
    assert decrypt(ContentCipher.AES_128_CBC, key, b"i" * 8, ciphertext) is None
