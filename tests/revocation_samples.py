"""Delta CRLs, OCSP answers made by `cryptography`, and a web that hands them out."""

from __future__ import annotations

from datetime import timedelta

from chain_samples import DAY, NOW, Shape, crl, issue
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from lab.hresults import hresult
from lab.trust.fetch import Fetched

CDP = "http://pki.test/issuing.crl"
DELTA = "http://pki.test/issuing+.crl"
OCSP = "http://pki.test/ocsp"


class Web:
    """Answers from a dictionary; a function there is asked with the body that is posted."""

    def __init__(self, answers):
        self.answers = answers

    def fetch(self, url):
        if url in self.answers:
            return Fetched(url=url, octets=self.answers[url])
        return Fetched(url=url, error=hresult(0x80190194), detail="HTTP 404 Not Found")

    def post(self, url, body, media_type):
        assert media_type == "application/ocsp-request"
        answer = self.answers.get(url)
        if answer is None:
            return Fetched(url=url, error=hresult(0x80190194), detail="HTTP 404 Not Found")
        return Fetched(url=url, octets=answer(body))


def delta(issuer, base_number, *, number=5, critical=True, **more):
    return crl(issuer, number=number, extra=((x509.DeltaCRLIndicator(base_number), critical),), **more)


def freshest():
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(DELTA)], None, None, None)
    return (x509.FreshestCRL([point]), False)


def base(issuer, **more):
    return crl(issuer, extra=(freshest(),), **more)


def responder(world, *, no_check=True, eku=ExtendedKeyUsageOID.OCSP_SIGNING, issuer=None, **shape):
    extra = ((x509.OCSPNoCheck(), False),) if no_check else ()
    kind = {"ca": False, "usages": ("digital_signature",), "eku": (eku,), "extra": extra} | shape
    return issue("Responder", issuer or world.issuing, Shape(**kind))


def answering(world, signer, **how):
    """Return what answers as ``cryptography`` does, about ``about`` (the leaf), signed by ``signer``."""

    def answer(body):
        request = ocsp.load_der_ocsp_request(body)
        status = how.get("status", ocsp.OCSPCertStatus.GOOD)
        revoked = status is ocsp.OCSPCertStatus.REVOKED
        builder = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                cert=how.get("about", world.leaf).certificate,
                issuer=world.issuing.certificate,
                algorithm=how.get("algorithm", hashes.SHA1()),
                cert_status=status,
                this_update=how.get("this_update", NOW - timedelta(minutes=1)),
                next_update=how.get("next_update", NOW + timedelta(hours=1)),
                revocation_time=NOW - DAY if revoked else None,
                revocation_reason=x509.ReasonFlags.superseded if revoked else None,
            )
            .responder_id(how.get("by", ocsp.OCSPResponderEncoding.HASH), signer.certificate)
        )
        if how.get("certificates", True) and signer is not world.issuing:
            builder = builder.certificates([signer.certificate])
        nonce = how.get("nonce", "repeat")
        if nonce == "repeat":
            for extension in request.extensions:
                builder = builder.add_extension(extension.value, critical=False)
        elif nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        return builder.sign(signer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    return answer


def damaged(answer):
    """Return what answers with the last bit of the signature turned over."""

    def damage(body):
        octets = answer(body)
        return octets[:-1] + bytes([octets[-1] ^ 1])

    return damage
