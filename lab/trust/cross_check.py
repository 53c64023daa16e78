"""The same chain judged by ``openssl verify``, and where the two verifiers disagree.

openssl is given the same certificates, CRLs, instant and purpose. Some verdicts it cannot share; each
of these is known here by name, so that a disagreement nobody knows of stands out.
"""

from __future__ import annotations

import base64
import re
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ca import oids

from .ocsp import OcspStatus
from .policies import ANY_POLICY
from .status import TrustError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .anchors import TrustAnchors
    from .chain import ChainContext

_TIMEOUT_SECONDS: Final = 120
_ERROR: Final = re.compile(r"error \d+ at ")
_PURPOSES: Final = {
    oids.CLIENT_AUTH: "sslclient",
    oids.SERVER_AUTH: "sslserver",
    oids.OCSP_SIGNING: "ocsphelper",
    "1.3.6.1.5.5.7.3.4": "smimesign",
    "1.3.6.1.5.5.7.3.8": "timestampsign",
}
_TIME_BITS: Final = TrustError.IS_NOT_TIME_NESTED
_POLICY_BITS: Final = TrustError.INVALID_POLICY_CONSTRAINTS
_NAME_BITS: Final = TrustError.HAS_NOT_SUPPORTED_NAME_CONSTRAINT


class CrossCheckUnavailable(Exception):
    """openssl is not here or did not run; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCheck:
    """What openssl made of it. ``known_differences`` say why it may judge otherwise in this case."""

    version: str
    command: str
    accepted: bool
    errors: tuple[str, ...]
    trusted: bool
    known_differences: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether both accept, or both refuse."""
        return self.accepted == self.trusted

    def as_json(self) -> dict[str, Any]:
        """Return the comparison for machines."""
        return {
            "version": self.version,
            "command": self.command,
            "accepted": self.accepted,
            "errors": list(self.errors),
            "agrees": self.agrees,
            "known_differences": list(self.known_differences),
        }

    def lines(self) -> list[str]:
        """Return the comparison for people."""
        words = {True: "accepts", False: "refuses"}
        lines = ["-------- openssl verify --------", f"{self.version}: {self.command}"]
        lines += [f"  {error}" for error in self.errors]
        if self.agrees:
            return [*lines, f"openssl {words[self.accepted]} the chain as well."]
        lines.append(f"openssl {words[self.accepted]} the chain, this engine {words[self.trusted]} it.")
        known = self.known_differences or ("none that is known: one of the two is wrong",)
        return lines + [f"  Difference: {text}" for text in known]


def cross_check(context: ChainContext, anchors: TrustAnchors, *, openssl: str = "openssl") -> CrossCheck:
    """Return how ``openssl verify`` judges what ``context`` was made of.

    Raises:
        CrossCheckUnavailable: openssl cannot be run.

    """
    with tempfile.TemporaryDirectory(prefix="ndes-lab-") as name:
        arguments = _arguments(context, anchors, Path(name), openssl)
        done = _run([openssl, "verify", *arguments])
        shown = shlex.join(["openssl", "verify", *arguments]).replace(f"{name}/", "")
    said = (done.stdout + done.stderr).splitlines()
    return CrossCheck(
        version=_run([openssl, "version"]).stdout.strip(),
        command=shown,
        accepted=done.returncode == 0,
        errors=tuple(line.strip() for line in said if _ERROR.match(line)),
        trusted=context.trusted,
        known_differences=tuple(_known_differences(context)),
    )


def _arguments(context: ChainContext, anchors: TrustAnchors, folder: Path, openssl: str) -> list[str]:
    leaf = context.elements[0].certificate
    distrusted = context.rules.distrusted.certificates
    trusted = [one.der for one in anchors.certificates if one not in context.rules.distrusted]
    files = {
        "leaf.pem": _pem([leaf.der], "CERTIFICATE"),
        "trusted.pem": _pem(trusted, "CERTIFICATE") + _rejected((one.der for one in distrusted), openssl),
        "untrusted.pem": _pem((one.der for one in context.known if one.der != leaf.der), "CERTIFICATE"),
        "crls.pem": _pem(_crls(context), "X509 CRL"),
    }
    for name, content in files.items():
        (folder / name).write_text(content)
    words = ["-partial_chain", "-no-CApath", "-no-CAstore", "-policy_check"]
    words += ["-attime", str(int(context.at.timestamp()))]
    for option, name in (("-CAfile", "trusted.pem"), ("-untrusted", "untrusted.pem")):
        words += [option, str(folder / name)] if files[name] else []
    if context.revocation_checked:
        words += ["-crl_check_all" if context.elements[-1].certificate.self_signed else "-crl_check"]
        words += ["-extended_crl", "-use_deltas"]
        words += ["-CRLfile", str(folder / "crls.pem")] if files["crls.pem"] else []
    if context.rules.usage in _PURPOSES:
        words += ["-purpose", _PURPOSES[context.rules.usage]]
    wanted = context.rules.issuance_policy
    words += ["-policy", wanted, "-explicit_policy"] if wanted else ["-policy", ANY_POLICY]
    return [*words, str(folder / "leaf.pem")]


def _rejected(certificates: Iterable[bytes], openssl: str) -> str:
    """Return them as certificates openssl is to refuse for any use."""
    return "".join(
        _run([openssl, "x509", "-addreject", "anyExtendedKeyUsage"], _pem([der], "CERTIFICATE")).stdout
        for der in certificates
    )


def _crls(context: ChainContext) -> list[bytes]:
    results = [element.revocation for element in context.elements if element.revocation is not None]
    return list(dict.fromkeys(crl.der for result in results for crl in result.crls))


def _known_differences(context: ChainContext) -> Iterable[str]:
    error = context.status.error
    if error & _TIME_BITS:
        yield "openssl does not compare the validity of a certificate with that of its issuer"
    if error & _POLICY_BITS:
        yield "openssl ignores a policy mapping that a CA above inhibits, unless a policy is required"
    if error & TrustError.HAS_WEAK_SIGNATURE:
        yield "openssl verify does not weigh digests and keys unless told so by -auth_level"
    if error & _NAME_BITS:
        yield "openssl looks at a constraint only when a name of its form occurs"
    for element in context.elements:
        found = element.revocation
        if found is not None and found.ocsp is not None and found.ocsp.status is not OcspStatus.UNKNOWN:
            yield f"{element.certificate.subject} was judged by OCSP, and openssl verify asks no responder"
    if context.rules.usage is not None and context.rules.usage not in _PURPOSES:
        yield f"openssl verify has no purpose for {context.rules.usage}"
    if context.elements[0].certificate in context.rules.distrusted:
        yield "openssl knows distrust of CAs only, not of the certificate in question"


def _pem(ders: Iterable[bytes], label: str) -> str:
    parts = []
    for der in ders:
        text = base64.b64encode(der).decode()
        lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
        parts.append(f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
    return "".join(parts)


def _run(command: list[str], given: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except OSError as error:
        raise CrossCheckUnavailable(f"{command[0]} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise CrossCheckUnavailable(f"{command[0]} took longer than {_TIMEOUT_SECONDS} seconds") from error
