"""``ndes-lab init``: the key ceremony alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from ._output import json_option, print_fields, print_json
from ._settings import config_option, data_dir_option, database_url_option, load


@click.command()
@data_dir_option
@database_url_option
@click.option("--host", metavar="ADDRESS", help="Address that CRL and AIA will be served on.")
@click.option(
    "--pki-port",
    type=click.IntRange(1, 65535),
    help="Port that CRL and AIA will be served on (default 8081).",
)
@config_option
@json_option
def init(
    data_dir: Path | None,
    database_url: str | None,
    host: str | None,
    pki_port: int | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Hold the key ceremony: offline root, issuing CA, and the RA's two certificates.

    The URLs of CRL and AIA go into the certificates, so say here where they will be served.
    """
    from ca.ceremony import hold_ceremony
    from ca.clock import SystemClock
    from ca.folders import PkiFolder
    from ca.process.settings import DEFAULT_DATA_DIR
    from crl_publisher.program import DEFAULT_PORT as DEFAULT_PKI_PORT
    from lab.addresses import with_public_url

    settings = load(
        config,
        server__data_dir=data_dir,
        server__host=host,
        server__pki_port=pki_port,
        pki__database_url=database_url,
    ).settings
    folder = PkiFolder(settings.server.data_dir or DEFAULT_DATA_DIR)
    effective = with_public_url(settings, settings.server.pki_port or DEFAULT_PKI_PORT)
    hold_ceremony(folder, effective.pki, clock=SystemClock(), entropy=os.urandom)
    minutes: dict[str, Any] = json.loads(folder.minutes.read_text())
    if as_json:
        print_json({"data_dir": str(folder.path), **minutes})
        return
    print_fields(
        [
            ("Data", folder.path),
            ("Root", minutes["root"]["subject"]),
            ("  SHA-256", minutes["root"]["sha256"]),
            ("  SHA-1", minutes["root"]["sha1"]),
            ("  certificate", folder.root_certificate),
            ("Issuing CA", minutes["issuing"]["subject"]),
            ("  SHA-1", minutes["issuing"]["sha1"]),
            ("CRL, AIA", minutes["public_url"]),
        ]
    )
    click.echo(f"Keep {folder.root} apart: no serving process needs it.", err=True)
