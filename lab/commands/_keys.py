"""The options that name what opens an envelope."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option(
        "--key",
        "key_files",
        multiple=True,
        type=_FILE,
        help="Open envelopes with this RSA private key, PEM or DER. Repeatable.",
    ),
    click.option(
        "--key-password-file",
        type=_FILE,
        help="File whose first line is the password of the private keys.",
    ),
    click.option(
        "--challenge-file", type=_FILE, help="File whose first line opens envelopes made for a password."
    ),
)


def with_keys(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options, and what they name as the argument ``keys``."""

    @functools.wraps(function)
    def command(
        *words: Any,
        key_files: tuple[Path, ...],
        key_password_file: Path | None,
        challenge_file: Path | None,
        **others: Any,
    ) -> None:
        from lab.decoding import EnvelopeKeys

        password = _first_line(key_password_file)
        keys = EnvelopeKeys(
            private_keys=tuple(_private_key(path, password) for path in key_files),
            password=_first_line(challenge_file),
        )
        function(*words, keys=keys, **others)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _first_line(path: Path | None) -> bytes | None:
    return None if path is None else (path.read_bytes().splitlines() or [b""])[0]


def _private_key(path: Path, password: bytes | None) -> RSAPrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    octets = path.read_bytes()
    load = (
        serialization.load_pem_private_key if b"-----BEGIN" in octets else serialization.load_der_private_key
    )
    try:
        key = load(octets, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise click.UsageError(f"{path} is no private key that can be read: {error}") from error
    if not isinstance(key, RSAPrivateKey):
        raise click.UsageError(f"{path} is no RSA key: only those open an envelope")
    return key
