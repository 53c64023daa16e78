"""The guide from a real NDES is executed: import the export, add the template, start, log on, enrol."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from peers import require_peer

from interop.lab_process import NDES_LAB, lab_process
from interop.process import run

pytestmark = pytest.mark.interop

GUIDE = (Path(__file__).parents[2] / "scep_server" / "ndes" / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
KEY = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Cryptography\MSCEP"
EXPORT = "\r\n".join(
    [
        "Windows Registry Editor Version 5.00",
        "",
        f"[{KEY}]",
        '"SignatureTemplate"="DeviceSign"',
        '"EncryptionTemplate"="IPSECIntermediateOffline"',
        '"GeneralPurposeTemplate"="DeviceSign"',
        "",
        rf"[{KEY}\PasswordMax]",
        '"PasswordMax"=dword:00000002',
        "",
        rf"[{KEY}\PasswordValidity]",
        '"PasswordValidity"=dword:0000001e',
        "",
    ]
)


def test_every_step_of_the_guide_works(tmp_path: Path) -> None:
    for peer in ("curl", "openssl"):
        require_peer(peer)
    (tmp_path / "mscep.reg").write_bytes(("\ufeff" + EXPORT).encode("utf-16-le"))
    before, after = BLOCKS[:2], BLOCKS[2:]
    assert len(after) >= 2
    path = {"PATH": f"{NDES_LAB.parent}:/usr/bin:/bin"}
    for text in before:
        done = run(["bash", "-euo", "pipefail", "-c", text], cwd=tmp_path, env=path)
        assert done.ok, done.text
    assert (tmp_path / "lab.toml").read_text().strip() in GUIDE
    options = ("--data-dir", "server", "--config", "lab.toml", "--profile", "ndes-2019")
    with lab_process(tmp_path, *options) as up:
        said = ""
        for text in after:
            at = text.replace("127.0.0.1:8080", urlsplit(up.ready["scep_url"]).netloc)
            done = run(["bash", "-euo", "pipefail", "-c", at], cwd=tmp_path, env=up.env)
            assert done.ok, done.text
            said += done.stdout.decode()
    assert "The enrollment challenge password is: <B>" in said
    assert "started successfully" in said
    certificate = run(
        ["openssl", "x509", "-in", tmp_path / "router-2" / "certificate.pem", "-noout", "-subject", "-text"]
    )
    assert "CN = router-2" in certificate.text
    assert "Digital Signature" in certificate.text
    assert "Key Encipherment" not in certificate.text
