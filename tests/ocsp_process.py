"""A process that wants the OCSP credential of a PKI: ``python ocsp_process.py FOLDER`` prints its serial."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ca_world import HandClock

from ca.folders import PkiFolder
from ca.opening import open_authority, open_ocsp_credentials, open_store
from ca.settings import PkiSettings

if __name__ == "__main__":
    folder, settings, clock = PkiFolder(Path(sys.argv[1])), PkiSettings(), HandClock()
    store = open_store(folder, settings, durable=False)
    credentials = open_ocsp_credentials(
        folder,
        settings,
        authority=open_authority(folder, settings, clock=clock, entropy=os.urandom),
        store=store,
        clock=clock,
    )
    sys.stdin.readline()  # so that all begin at once
    print(f"serial={credentials.current().certificate.serial_number}")
    store.close()
