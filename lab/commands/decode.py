"""``ndes-lab decode FILE``: what is in this message, request, certificate or CRL."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from lab.decoding import EnvelopeKeys, Node, NotUnderstood, explain

from ._keys import with_keys


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@with_keys
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
def decode(file: Path, keys: EnvelopeKeys, json_output: bool) -> None:
    """Explain FILE (- for standard input): SCEP message, CMS, certificate request, certificate, CRL, OCSP.

    DER, BER, PEM (any number of blocks), Base64, hexadecimal, the URL or log line of a GET, and a whole
    HTTP message are recognised. A challengePassword inside an envelope that --key opens is shown. Exit
    status: 0 explained, 1 nothing of that kind, and where reading stopped, 2 could not run.
    """
    try:
        trees = explain(sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes(), keys)
    except NotUnderstood as error:
        click.echo(f"{'standard input' if str(file) == '-' else file}: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {error.strerror}") from error
    click.echo(_as_json(trees) if json_output else "\n\n".join(tree.as_text() for tree in trees))


def _as_json(trees: list[Node]) -> str:
    documents = [tree.as_json() for tree in trees]
    return json.dumps(documents[0] if len(documents) == 1 else documents, indent=2, ensure_ascii=False)
