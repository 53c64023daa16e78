"""What OpenSSL says: the judge that neither the product nor the forge can persuade.

The thousands of replies that tests receive are judged by libcrypto in process, by the very functions
that ``openssl cms`` and ``openssl smime`` call (and certmonger); `run` starts the command itself, which
costs a hundred times as much. Where the library cannot be loaded the command does all of it.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

_NO_VERIFY, _BINARY = 0x20, 0x80
_MEMORY_CONTENT = 3  # BIO_CTRL_INFO


class Refused(AssertionError):
    """OpenSSL did not accept the octets; the text is its own."""


def run(*arguments: str, stdin: bytes = b"") -> bytes:
    """Run openssl and return its standard output; raises `Refused` when it fails."""
    done = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=False)
    if done.returncode:
        raise Refused(f"openssl {' '.join(arguments)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def verify_cms(message: bytes) -> bytes:
    """Verify a SignedData under the certificate it carries with both APIs; return its content.

    CMS_verify insists on contentType, PKCS7_verify is the older API; deployed clients use either.
    """
    library = _library()
    if library is None:
        return verify_by_command(message)
    content = library.verify("CMS", message)
    if content != library.verify("PKCS7", message):
        raise Refused("CMS_verify and PKCS7_verify read different contents")
    return content


def verify_by_command(message: bytes) -> bytes:
    """Do the same with ``openssl cms`` and ``openssl smime``."""
    options = ("-verify", "-noverify", "-binary", "-inform", "DER")
    content = run("cms", *options, stdin=message)
    if content != run("smime", *options, stdin=message):
        raise Refused("openssl cms and openssl smime read different contents")
    return content


def decrypt(envelope: bytes, *, key_pem: bytes, certificate: bytes) -> bytes:
    """Open an EnvelopedData with the key of the certificate it is made out to."""
    library = _library()
    if library is None:
        return decrypt_by_command(envelope, key_pem=key_pem, certificate=certificate)
    return library.decrypt(envelope, key_pem, certificate)


def decrypt_by_command(envelope: bytes, *, key_pem: bytes, certificate: bytes) -> bytes:
    """Do the same with ``openssl cms``."""
    with tempfile.TemporaryDirectory() as folder:
        key, cert = Path(folder, "key.pem"), Path(folder, "cert.der")
        key.write_bytes(key_pem)
        cert.write_bytes(certificate)
        files = ("-inkey", str(key), "-recip", str(cert))
        return run("cms", "-decrypt", "-binary", "-inform", "DER", *files, stdin=envelope)


def decrypt_with_password(envelope: bytes, password: bytes) -> bytes:
    """Open an EnvelopedData made out to a password."""
    return run(
        "cms", "-decrypt", "-binary", "-inform", "DER", "-pwri_password", password.decode(), stdin=envelope
    )


def verify_chain(leaf: bytes, root_pem: bytes, untrusted: list[bytes], *, at: int | None = None) -> None:
    """Verify a certificate chain up to a root, optionally at a Unix time."""
    with tempfile.TemporaryDirectory() as folder:
        root, middle, end = (Path(folder, name) for name in ("root.pem", "middle.pem", "leaf.pem"))
        root.write_bytes(root_pem)
        middle.write_bytes(b"".join(run("x509", "-inform", "DER", stdin=one) for one in untrusted))
        end.write_bytes(run("x509", "-inform", "DER", stdin=leaf))
        when = ["-attime", str(at)] if at is not None else []
        run("verify", *when, "-CAfile", str(root), "-untrusted", str(middle), str(end))


def check_request(csr: bytes) -> str:
    """Verify a PKCS#10 request's own signature and return its text."""
    return run("req", "-inform", "DER", "-verify", "-noout", "-text", stdin=csr).decode()


# -- libcrypto -------------------------------------------------------------------------

_POINTER, _INT = ctypes.c_void_p, ctypes.c_int
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "BIO_new_mem_buf": (_POINTER, [ctypes.c_char_p, _INT]),
    "BIO_new": (_POINTER, [_POINTER]),
    "BIO_s_mem": (_POINTER, []),
    "BIO_ctrl": (ctypes.c_long, [_POINTER, _INT, ctypes.c_long, _POINTER]),
    "BIO_free": (_INT, [_POINTER]),
    "d2i_CMS_bio": (_POINTER, [_POINTER, _POINTER]),
    "d2i_PKCS7_bio": (_POINTER, [_POINTER, _POINTER]),
    "d2i_X509_bio": (_POINTER, [_POINTER, _POINTER]),
    "PEM_read_bio_PrivateKey": (_POINTER, [_POINTER] * 4),
    "CMS_verify": (_INT, [_POINTER] * 5 + [ctypes.c_uint]),
    "PKCS7_verify": (_INT, [_POINTER] * 5 + [_INT]),
    "CMS_decrypt": (_INT, [_POINTER] * 5 + [ctypes.c_uint]),
    "CMS_ContentInfo_free": (None, [_POINTER]),
    "PKCS7_free": (None, [_POINTER]),
    "X509_free": (None, [_POINTER]),
    "EVP_PKEY_free": (None, [_POINTER]),
    "ERR_get_error": (ctypes.c_ulong, []),
    "ERR_error_string_n": (None, [ctypes.c_ulong, ctypes.c_char_p, ctypes.c_size_t]),
}


class _Library:
    """The few functions of libcrypto that are needed, and the care they need."""

    def __init__(self, name: str) -> None:
        loaded = ctypes.CDLL(name)
        for function, (result, arguments) in _FUNCTIONS.items():
            found = getattr(loaded, function)
            found.restype, found.argtypes = result, arguments
            setattr(self, function, found)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(name)

    def _refusal(self, what: str) -> Refused:
        texts = []
        buffer = ctypes.create_string_buffer(256)
        while code := self.ERR_get_error():
            self.ERR_error_string_n(code, buffer, 256)
            texts.append(buffer.value.decode())
        return Refused(f"{what}: {'; '.join(texts) or 'no reason given'}")

    def _read(self, reader: Callable[..., Any], octets: bytes, *rest: None) -> int:
        source = self.BIO_new_mem_buf(octets, len(octets))
        try:
            found = reader(source, None, *rest)
        finally:
            self.BIO_free(source)
        if not found:
            raise self._refusal("cannot be read")
        return int(found)

    def _written(self, write: Callable[[int], int], what: str) -> bytes:
        sink = self.BIO_new(self.BIO_s_mem())
        try:
            if write(sink) != 1:
                raise self._refusal(what)
            start = ctypes.c_void_p()
            size = self.BIO_ctrl(sink, _MEMORY_CONTENT, 0, ctypes.byref(start))
            return ctypes.string_at(start, size) if size else b""
        finally:
            self.BIO_free(sink)

    def verify(self, api: str, message: bytes) -> bytes:
        """Verify a SignedData with one of the two APIs; return its content."""
        reader, verify, free = {
            "CMS": (self.d2i_CMS_bio, self.CMS_verify, self.CMS_ContentInfo_free),
            "PKCS7": (self.d2i_PKCS7_bio, self.PKCS7_verify, self.PKCS7_free),
        }[api]
        parsed = self._read(reader, message)
        try:
            return self._written(
                lambda sink: verify(parsed, None, None, None, sink, _NO_VERIFY | _BINARY), f"{api}_verify"
            )
        finally:
            free(parsed)

    def _certificate(self, der: bytes) -> int | None:
        """Return the certificate, or None where OpenSSL cannot read what a client is free to send."""
        try:
            return self._read(self.d2i_X509_bio, der)
        except Refused:
            return None

    def decrypt(self, envelope: bytes, key_pem: bytes, certificate: bytes) -> bytes:
        """Open an EnvelopedData."""
        parsed = self._read(self.d2i_CMS_bio, envelope)
        key = self._read(self.PEM_read_bio_PrivateKey, key_pem, None, None)
        recipient = self._certificate(certificate)
        try:
            return self._written(
                lambda sink: self.CMS_decrypt(parsed, key, recipient, None, sink, _BINARY), "CMS_decrypt"
            )
        finally:
            self.X509_free(recipient)
            self.EVP_PKEY_free(key)
            self.CMS_ContentInfo_free(parsed)


@functools.cache
def _library() -> _Library | None:
    name = ctypes.util.find_library("crypto")
    try:
        return None if name is None else _Library(name)
    except (OSError, AttributeError):
        return None
