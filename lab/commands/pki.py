"""``ndes-lab pki``: the CA certificates themselves, shown and renewed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

import click

from ._hand_over import hand_over
from ._output import json_option, print_json, print_rows
from ._settings import config_option, data_dir_option, load

if TYPE_CHECKING:
    from pathlib import Path

    from ca.certificates import CertificateInfo
    from ca.folders import PkiFolder
    from lab.settings import LabSettings


@click.group()
def pki() -> None:
    """Show the CA's certificates, renew the issuing CA, or hand over what others serve with."""


pki.add_command(hand_over)


@pki.command("show")
@data_dir_option
@config_option
@json_option
def show(data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Show the certificates of root and issuing CA, and the next one if one is prepared."""
    folder, _ = _folder(data_dir, config)
    _print(folder, as_json=as_json)


@pki.command("renew-ca")
@click.option(
    "--new-key/--same-key", default=True, show_default=True, help="Whether the CA gets a new key as well."
)
@click.option(
    "--next",
    "as_next",
    is_flag=True,
    help="Only prepare it: clients can ask for it with GetNextCACert until `pki activate-ca`.",
)
@click.option(
    "--passphrase-file",
    type=click.File("rb"),
    metavar="FILE",
    help="Passphrase of the root's key; - is standard input (default: from settings, or the root's folder).",
)
@data_dir_option
@config_option
@json_option
def renew_ca(
    new_key: bool,
    as_next: bool,
    passphrase_file: BinaryIO | None,
    data_dir: Path | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Take the offline root out and have it sign the issuing CA's next certificate.

    Certificates of the earlier key stay good: its CRLs go on, and they can still be revoked.
    """
    from ca.clock import SystemClock
    from ca.renewal import renew_issuing
    from ca.root import OfflineRoot

    folder, settings = _folder(data_dir, config)
    passphrase = None if passphrase_file is None else passphrase_file.read().strip()
    root = OfflineRoot.open(folder, settings.pki, clock=SystemClock(), passphrase=passphrase)
    renew_issuing(folder, settings.pki, root=root, entropy=os.urandom, new_key=new_key, as_next=as_next)
    _finish(folder, settings, as_json=as_json, in_service=not as_next)


@pki.command("activate-ca")
@data_dir_option
@config_option
@json_option
def activate_ca(data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Put the issuing CA's next certificate in service."""
    from ca.renewal import activate_next

    folder, settings = _folder(data_dir, config)
    activate_next(folder)
    _finish(folder, settings, as_json=as_json, in_service=True)


def _folder(data_dir: Path | None, config: Path | None) -> tuple[PkiFolder, LabSettings]:
    from ca.folders import PkiFolder
    from ca.process.settings import DEFAULT_DATA_DIR

    from ._desk import settings_of

    settings = load(config, server__data_dir=data_dir).settings
    folder = PkiFolder(settings.server.data_dir or DEFAULT_DATA_DIR)
    return folder, settings_of(settings, folder)


def _finish(folder: PkiFolder, settings: LabSettings, *, as_json: bool, in_service: bool) -> None:
    """Publish what the new certificate brings, and say what is to be done."""
    if in_service:
        from ._desk import local_desk

        desk = local_desk(settings, folder.path)
        try:
            desk.publish_handed_over()
        finally:
            desk.close()
    _print(folder, as_json=as_json)
    if in_service:
        click.echo(
            "Start the lab again to serve it, or send SIGHUP. With a new key, the RA's certificates are "
            "still those of the earlier one, and clients that look at the whole chain refuse them until they "
            "are issued anew: ndes-lab ra renew all",
            err=True,
        )


def _print(folder: PkiFolder, *, as_json: bool) -> None:
    from ca.opening import open_issuing_certificates, open_next_issuing, open_root_certificate

    prepared = open_next_issuing(folder)
    present, *earlier = open_issuing_certificates(folder)
    found = [("root", open_root_certificate(folder)), ("present", present)]
    found += [("earlier", one) for one in earlier]
    found += [("next", prepared)] if prepared else []
    rows = [_row(state, certificate) for state, certificate in found]
    if as_json:
        print_json(rows)
        return
    columns = ("state", "subject", "version", "not_after", "serial_number", "sha1")
    print_rows(
        [name.upper().replace("_", " ") for name in columns],
        [[row[name] for name in columns] for row in rows],
    )


def _row(state: str, certificate: CertificateInfo) -> dict[str, str]:
    from ca.extensions import read_ca_version

    key_index, certificate_index = read_ca_version(certificate.extensions)
    return {
        "state": state,
        "subject": certificate.subject,
        "version": f"V{certificate_index}.{key_index}",
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
        "serial_number": f"{certificate.serial_number:x}",
        "sha1": certificate.sha1,
        "sha256": certificate.sha256,
    }
