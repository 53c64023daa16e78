"""Content encryption in CBC mode with PKCS#7 padding (RFC 5652 6.3).

Keys and initialization vectors arrive as values. Decryption never tells why it failed.
"""

from __future__ import annotations

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from .algorithms import ContentCipher


def encrypt(cipher: ContentCipher, key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    """Return the padded plaintext encrypted."""
    missing = cipher.block_size - len(plaintext) % cipher.block_size
    return transform(cipher, key, iv, plaintext + bytes((missing,)) * missing, decrypt=False)


def decrypt(cipher: ContentCipher, key: bytes, iv: bytes | None, ciphertext: bytes | None) -> bytes | None:
    """Return the plaintext, or None for a wrong IV, a wrong length or wrong padding.

    The key is of the right size. The work done depends on the length alone, so that a caller who
    answers None uniformly is no padding oracle.
    """
    usable = iv is not None and len(iv) == cipher.block_size
    if not ciphertext or len(ciphertext) % cipher.block_size:
        return None
    padded = transform(
        cipher, key, iv if usable and iv else bytes(cipher.block_size), ciphertext, decrypt=True
    )
    count = padded[-1]
    padding_fits = 0 < count <= cipher.block_size and padded.endswith(bytes((count,)) * count)
    return padded[:-count] if usable and padding_fits else None


def transform(cipher: ContentCipher, key: bytes, iv: bytes, blocks: bytes, *, decrypt: bool) -> bytes:
    """Run whole blocks through the cipher in CBC mode, without padding."""
    if cipher is ContentCipher.DES_CBC:
        algorithm: TripleDES | AES = TripleDES(key * 3)
    elif cipher is ContentCipher.DES_EDE3_CBC:
        algorithm = TripleDES(key)
    else:
        algorithm = AES(key)
    context = Cipher(algorithm, modes.CBC(iv))
    runner = context.decryptor() if decrypt else context.encryptor()
    return runner.update(blocks) + runner.finalize()
