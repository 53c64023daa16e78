"""``ndes-lab decode FILE``: what is in this message, request, certificate or CRL."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from lab.decoding import EnvelopeKeys, Node, NotUnderstood, explain

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--key", "key_files", multiple=True, type=_FILE, help="Open envelopes with this private key.")
@click.option(
    "--key-password-file",
    type=_FILE,
    help="File whose first line is the password of the private keys.",
)
@click.option(
    "--challenge-file", type=_FILE, help="File whose first line opens envelopes made for a password."
)
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
def decode(
    file: Path,
    key_files: tuple[Path, ...],
    key_password_file: Path | None,
    challenge_file: Path | None,
    json_output: bool,
) -> None:
    """Explain FILE (- for standard input): SCEP message, CMS, certificate request, certificate, CRL, OCSP.

    DER, BER, PEM (any number of blocks), Base64, hexadecimal, the URL or log line of a GET, and a whole
    HTTP message are recognised. A challengePassword inside an envelope that --key opens is shown. Exit
    status: 0 explained, 1 nothing of that kind, and where reading stopped, 2 could not run.
    """
    keys = EnvelopeKeys(
        private_keys=tuple(_private_key(path, _first_line(key_password_file)) for path in key_files),
        password=_first_line(challenge_file),
    )
    try:
        trees = explain(sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes(), keys)
    except NotUnderstood as error:
        click.echo(f"{file}: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {error.strerror}") from error
    click.echo(_as_json(trees) if json_output else "\n\n".join(tree.as_text() for tree in trees))


def _as_json(trees: list[Node]) -> str:
    documents = [tree.as_json() for tree in trees]
    return json.dumps(documents[0] if len(documents) == 1 else documents, indent=2, ensure_ascii=False)


def _first_line(path: Path | None) -> bytes | None:
    return None if path is None else (path.read_bytes().splitlines() or [b""])[0]


def _private_key(path: Path, password: bytes | None) -> RSAPrivateKey:
    octets = path.read_bytes()
    load = (
        serialization.load_pem_private_key if b"-----BEGIN" in octets else serialization.load_der_private_key
    )
    try:
        key = load(octets, password)
    except (ValueError, TypeError) as error:
        raise click.UsageError(f"{path} is no private key that can be read: {error}") from error
    if not isinstance(key, RSAPrivateKey):
        raise click.UsageError(f"{path} is no RSA key: only those open an envelope")
    return key
