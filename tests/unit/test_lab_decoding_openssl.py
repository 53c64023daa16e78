"""What openssl prints of an object is found in our tree of it, value for value."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import require_peer

from lab.decoding import EnvelopeKeys, Node, NotUnderstood, explain
from lab.decoding.stopping import where_it_stops

EXTENSIONS = """
[v3]
basicConstraints = critical, CA:TRUE, pathlen:3
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
extendedKeyUsage = clientAuth, 1.3.6.1.4.1.311.20.2.2, 1.2.3.4.5
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid, issuer:always
subjectAltName = DNS:host.test, email:who@lab.test, IP:192.0.2.7, IP:2001:db8::7, URI:http://lab.test/x, \
    RID:1.2.3.4, dirName:there, otherName:1.3.6.1.4.1.311.20.2.3;UTF8:who@lab.test
crlDistributionPoints = URI:http://lab.test/a.crl, URI:ldap://lab.test/b
authorityInfoAccess = OCSP;URI:http://lab.test/ocsp, caIssuers;URI:http://lab.test/a.crt
certificatePolicies = 1.2.3.4, @policy
nameConstraints = permitted;DNS:.test
[policy]
policyIdentifier = 1.3.5.7
CPS.1 = http://lab.test/cps
[there]
CN = Directory
[req]
distinguished_name = there
[ca]
default_ca = own
[own]
database = index.txt
crlnumber = number
default_md = sha256
crl_extensions = crl
[crl]
authorityKeyIdentifier = keyid
[attributes]
challengePassword = S3cret_
unstructuredName = device name
"""
KEYS = {
    "rsa": ["rsa:2048"],
    "ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "ed25519": ["ed25519"],
}


class Bench:
    """A folder in which openssl works."""

    def __init__(self, folder: Path) -> None:
        require_peer("openssl")
        self.folder = folder
        (folder / "conf").write_text(EXTENSIONS)

    def openssl(self, *words: str) -> str:
        done = subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)
        return done.stdout.decode()

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def tree(self, name: str, keys: EnvelopeKeys | None = None) -> Node:
        (tree,) = explain(self.read(name), keys or EnvelopeKeys())
        return tree


@pytest.fixture(scope="module", params=sorted(KEYS))
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp(request.param))
    words = [
        "req",
        "-x509",
        "-config",
        "conf",
        "-extensions",
        "v3",
        "-days",
        "30",
        "-nodes",
        "-keyout",
        "key",
    ]
    subject = ["-subj", "/C=DE/O=Lab, Inc./OU=Tëst/CN=device+UID=7", "-utf8", "-multivalue-rdn"]
    bench.openssl(*words, *subject, "-newkey", *KEYS[request.param], "-out", "certificate")
    return bench


@pytest.fixture(scope="module")
def rsa(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("messages"))
    (bench.folder / "conf").write_text(EXTENSIONS.partition("[crl]")[0] + "[crl]\n")
    for name in ("one", "two"):
        new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-config", "conf", "-subj", f"/CN={name}"]
        bench.openssl(*new, "-keyout", f"{name}.key", "-out", f"{name}.crt")
    return bench


def text_of(node: Node) -> str:
    """All that a tree says, without white space and the case of letters."""
    return squeezed("\n".join(f"{one.name} {one.value} {one.note}" for one in node.walk()))


def squeezed(text: str) -> str:
    return re.sub(r"[\s:]", "", text).lower()


def hex_runs(printed: str) -> list[str]:
    """Octets in hex that openssl prints, over as many lines as it takes; at least sixteen octets."""
    runs = re.findall(r"(?:[0-9A-Fa-f]{2}[:\s]+){15,}[0-9A-Fa-f]{2}|[0-9A-F]{32,}", printed)
    return [squeezed(run).removeprefix("0410") for run in runs]  # an OCSP nonce's OCTET STRING


def leading_zeros_off(octets: str) -> str:
    return octets.removeprefix("00")


def assert_has_octets(tree: Node, printed: str, at_least: int) -> None:
    said = text_of(tree)
    runs = hex_runs(printed)
    assert len(runs) >= at_least
    for run in runs:
        assert leading_zeros_off(run) in said, run


def dates(printed: str) -> list[str]:
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return [
        f"{year}-{months.index(month) + 1:02}-{int(day):02} {clock}Z"
        for month, day, clock, year in re.findall(r"([A-Z][a-z]{2}) +(\d+) ([\d:]{8}) (\d{4}) GMT", printed)
    ]


# -- certificates, requests, CRLs ------------------------------------------------------


def test_a_certificate_has_all_that_openssl_prints(bench: Bench) -> None:
    printed = bench.openssl("x509", "-in", "certificate", "-noout", "-text", "-fingerprint", "-sha256")
    tree = bench.tree("certificate")
    assert_has_octets(tree, printed, at_least=4)
    values = [node.value for node in tree.walk()]
    for date in dates(printed):
        assert date in values
    for said in (
        "host.test",
        "who@lab.test",
        "192.0.2.7",
        "2001:db8::7",
        "http://lab.test/x",
        "1.2.3.4",
        "CN=Directory",
        "http://lab.test/a.crl",
        "ldap://lab.test/b",
        "http://lab.test/ocsp",
        "http://lab.test/a.crt",
        "http://lab.test/cps",
        "1.3.5.7",
        "1.3.6.1.4.1.311.20.2.2",
        "1.2.3.4.5",
        ".test",
        "TRUE, pathLenConstraint 3",
        "cRLSign, digitalSignature, keyCertSign",
    ):
        assert squeezed(said) in text_of(tree), said
    assert {"CN=device", "UID=7", "OU=Tëst", 'O="Lab, Inc."', "C=DE"} == set(
        re.split(r"(?<!Lab), |\+", tree.find("subject").value)  # type: ignore[union-attr]
    )


def test_a_request_has_all_that_openssl_prints(bench: Bench) -> None:
    conf = bench.folder / "request.conf"
    conf.write_text(
        EXTENSIONS.replace("[req]", "[req]\nattributes = attributes\nprompt = no\nreq_extensions = wish")
        + "[wish]\nsubjectAltName = DNS:host.test\nkeyUsage = digitalSignature\n"
    )
    bench.openssl("req", "-new", "-config", "request.conf", "-key", "key", "-out", "request")
    printed = bench.openssl("req", "-in", "request", "-noout", "-text")
    tree = bench.tree("request")
    assert_has_octets(tree, printed, at_least=2)
    assert "S3cret_" in printed
    for said in ("S3cret_", "device name", "host.test", "digitalSignature", "CN=Directory"):
        assert squeezed(said) in text_of(tree), said


def test_a_crl_has_all_that_openssl_prints(bench: Bench) -> None:
    revoked = [
        f"R\t400101000000Z\t2001010000{n:02}Z,{why}\t{n + 1:02X}0BAD\tunknown\t/CN={n}"
        for n, why in enumerate(
            ["keyCompromise", "CACompromise", "superseded", "holdInstruction,holdInstructionReject"]
        )
    ]
    (bench.folder / "index.txt").write_text("\n".join(revoked) + "\n")
    (bench.folder / "number").write_text("1A\n")
    bench.openssl(
        "ca",
        "-gencrl",
        "-config",
        "conf",
        "-cert",
        "certificate",
        "-keyfile",
        "key",
        "-md",
        "default" if "ed" in bench.folder.name else "sha256",
        "-crldays",
        "7",
        "-out",
        "crl",
    )
    printed = bench.openssl("crl", "-in", "crl", "-noout", "-text")
    tree = bench.tree("crl")
    assert_has_octets(tree, printed, at_least=2)
    values = [node.value for node in tree.walk()]
    for date in dates(printed):
        assert date in values
    assert [node.note for node in tree.walk() if re.fullmatch("0?[0-9a-f]0bad", node.name)] == [
        "keyCompromise",
        "cACompromise",
        "superseded",
        "certificateHold",
    ]
    assert tree.find("cRLNumber 2.5.29.20").value == "26"  # type: ignore[union-attr]


# -- CMS -------------------------------------------------------------------------------


def printed_values(printed: str) -> set[str]:
    """Serial numbers and names of algorithms in what `openssl cms -cmsout -print` prints."""
    serials = {f"{int(number, 0):x}" for number in re.findall(r"serialNumber: (0x[0-9A-F]+|\d+)\n", printed)}
    algorithms = set(re.findall(r"algorithm: \S+ \(([\d.]+)\)", printed))
    return serials | algorithms


def test_a_signed_and_enveloped_message_is_shown_down_to_its_content(rsa: Bench) -> None:
    (rsa.folder / "content").write_bytes(b"what is inside \x00\xff")
    seal = ["cms", "-encrypt", "-binary", "-in", "content", "-outform", "DER", "-aes256", "-out", "enveloped"]
    rsa.openssl(*seal, "-recip", "one.crt", "-recip", "two.crt")
    sign = ["cms", "-sign", "-binary", "-nodetach", "-in", "enveloped", "-outform", "DER", "-out", "signed"]
    rsa.openssl(*sign, "-signer", "one.crt", "-inkey", "one.key", "-signer", "two.crt", "-inkey", "two.key")
    for name in ("enveloped", "signed"):
        printed = rsa.openssl("cms", "-cmsout", "-print", "-inform", "DER", "-in", name)
        said = text_of(rsa.tree(name))
        found = printed_values(printed)
        assert len(found) >= 3
        for value in found:
            assert squeezed(value) in said, value
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    for name in ("one.key", "two.key"):
        key = load_pem_private_key(rsa.read(name), None)
        opened = rsa.tree("signed", EnvelopeKeys(private_keys=(key,)))  # type: ignore[arg-type]
        plaintext = opened.find("plaintext")
        assert plaintext is not None
        assert plaintext.children[0].value == b"what is inside \x00\xff".hex()
    assert [node.note for node in rsa.tree("signed").walk() if node.name == "signature"] == [
        "valid under the key of CN=one; messageDigest fits",
        "valid under the key of CN=two; messageDigest fits",
    ]


def test_a_certs_only_bag_has_every_certificate(rsa: Bench) -> None:
    rsa.openssl("crl2pkcs7", "-nocrl", "-certfile", "one.crt", "-certfile", "two.crt", "-out", "bag")
    tree = rsa.tree("bag")
    assert [node.value for node in tree.walk() if node.name == "certificate"] == ["CN=one", "CN=two"]


# -- OCSP ------------------------------------------------------------------------------


def test_ocsp_messages_have_all_that_openssl_prints(rsa: Bench) -> None:
    rsa.openssl("req", "-new", "-config", "conf", "-key", "two.key", "-subj", "/CN=leaf", "-out", "leaf.csr")
    serial = "66472B723DC3B619567FEBB676DFB292897036A3"
    issue = ["x509", "-req", "-in", "leaf.csr", "-CA", "one.crt", "-CAkey", "one.key", "-out", "leaf.crt"]
    rsa.openssl(*issue, "-set_serial", f"0x{serial}")
    (rsa.folder / "index").write_text(
        f"R\t400101000000Z\t200101000000Z,keyCompromise\t{serial}\tunknown\t/CN=leaf\n"
    )
    ask = ["ocsp", "-issuer", "one.crt", "-cert", "leaf.crt"]
    rsa.openssl(*ask, "-sha256", "-cert", "one.crt", "-reqout", "question")
    answer = [
        "ocsp",
        "-index",
        "index",
        "-CA",
        "one.crt",
        "-rsigner",
        "one.crt",
        "-rkey",
        "one.key",
        "-ndays",
        "3",
    ]
    rsa.openssl(*answer, "-reqin", "question", "-respout", "answer")
    rsa.openssl(*answer, "-resp_key_id", "-reqin", "question", "-respout", "by-key")
    for name, option in (("question", "-reqin"), ("answer", "-respin"), ("by-key", "-respin")):
        printed = rsa.openssl("ocsp", option, name, "-text", "-noverify")
        tree = rsa.tree(name)
        assert_has_octets(tree, printed, at_least=2)
        values = [node.value for node in tree.walk()]
        assert set(dates(printed)) <= set(values)
    tree = rsa.tree("answer")
    assert [node.value for node in tree.walk() if node.name == "response"] == ["revoked", "unknown"]
    assert tree.find("revocationReason").value == "keyCompromise"  # type: ignore[union-attr]
    assert tree.find("responderID").value == "byName CN=one"  # type: ignore[union-attr]
    assert rsa.tree("by-key").find("responderID").value.startswith("byKey ")  # type: ignore[union-attr]


def test_an_ocsp_refusal_is_named() -> None:
    (tree,) = explain(bytes.fromhex("30030a0106"))
    assert tree.value == "unauthorized (6)"


# -- wrappings -------------------------------------------------------------------------


def test_several_blocks_in_one_file_are_explained_each(rsa: Bench) -> None:
    rsa.openssl("req", "-new", "-config", "conf", "-key", "one.key", "-subj", "/CN=wish", "-out", "wish")
    text = rsa.openssl("x509", "-in", "one.crt", "-text").encode()
    trees = explain(b"\n".join([text, rsa.read("one.key"), rsa.read("wish"), rsa.read("two.crt")]))
    assert [(node.name, node.value) for node in trees] == [
        ("certificate", "CN=one"),
        ("not understood", ""),
        ("certificate request (PKCS#10)", "CN=wish"),
        ("certificate", "CN=two"),
    ]
    assert "it is not shown" in trees[1].note
    secret = re.sub(rb"-----.*?-----|\s", b"", rsa.read("one.key"))
    assert base64.b64decode(secret)[-64:].hex() not in "".join(tree.as_text() for tree in trees)


def test_openssls_trusted_certificate_is_a_certificate(rsa: Bench) -> None:
    rsa.openssl("x509", "-in", "one.crt", "-trustout", "-addtrust", "clientAuth", "-out", "trusted")
    assert rsa.tree("trusted").value == "CN=one"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda octets: b"http://lab.test/scep?operation=PKIOperation&message=" + base64.b64encode(octets),
        lambda octets: (
            b"GET /scep?message=" + base64.b64encode(octets).replace(b"+", b"%2B") + b"&x=1 HTTP/1.1\r\n\r\n"
        ),
        lambda octets: (
            b"2026-01-01 00:00:00 127.0.0.1 GET /scep operation=PKIOperation&message="
            + base64.urlsafe_b64encode(octets)
            + b" 8080 - 200 0 0 1"
        ),
        lambda octets: b"POST /scep?operation=PKIOperation HTTP/1.1\r\nHost: x\r\n\r\n" + octets,
        lambda octets: b"HTTP/1.1 200 OK\nContent-Type: application/x-pki-message\n\n" + octets,
        lambda octets: octets.hex().encode(),
        lambda octets: octets.hex(":").upper().encode() + b"\n",
    ],
    ids=["url", "request-line", "log-line", "post", "answer", "hex", "colons"],
)
def test_reads_what_people_have_at_hand(rsa: Bench, wrap) -> None:
    rsa.openssl("x509", "-in", "one.crt", "-outform", "DER", "-out", "one.der")
    (tree,) = explain(wrap(rsa.read("one.der")))
    assert tree.value == "CN=one"


# -- where reading stops ---------------------------------------------------------------


def test_says_at_every_length_where_a_cut_message_ends(rsa: Bench) -> None:
    rsa.openssl("x509", "-in", "one.crt", "-outform", "DER", "-out", "one.der")
    octets = rsa.read("one.der")
    assert where_it_stops(octets) == ""
    for length in range(1, len(octets)):
        said = where_it_stops(octets[:length])
        found = re.match(rf"reading stopped at octet (\d+) of {length}: ", said)
        assert found, said
        assert int(found[1]) <= length
        with pytest.raises(NotUnderstood, match="reading stopped at octet"):
            explain(octets[:length])


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        ("3003020105ff", "the element ends at octet 5 of 6, and others follow"),
        ("300402050102", "octet 2 of 6: INTEGER claims 5 octets, 2 octets left, inside SEQUENCE at 0"),
        ("30803003020101", "octet 7 of 7: the octets end here, inside SEQUENCE at 0"),
        ("30041f810102", "octet 2 of 6: a tag of several octets, 0x1f, inside SEQUENCE at 0"),
        (
            "30040480ffff",
            "octet 2 of 6: OCTET STRING is primitive and of indefinite length, inside SEQUENCE at 0",
        ),
        (
            "3009a003020101300430",
            "octet 9 of 10: a tag without a length, inside SEQUENCE at 0 > SEQUENCE at 7; 1 octet of",
        ),
        ("308affffffffffffffffffff", "more than 2^64 octets of the SEQUENCE at 0 missing"),
    ],
)
def test_says_what_was_being_read(octets: str, says: str) -> None:
    assert says in where_it_stops(bytes.fromhex(octets))


# -- whatever comes --------------------------------------------------------------------


@pytest.fixture(scope="module")
def samples(rsa: Bench) -> list[bytes]:
    """One object of every kind."""
    rsa.openssl(
        "req",
        "-new",
        "-config",
        "conf",
        "-key",
        "one.key",
        "-subj",
        "/CN=wish",
        "-outform",
        "DER",
        "-out",
        "r",
    )
    rsa.openssl("x509", "-in", "one.crt", "-outform", "DER", "-out", "c")
    (rsa.folder / "index.txt").write_text(
        "R\t400101000000Z\t200101000000Z,superseded\t0BAD\tunknown\t/CN=x\n"
    )
    (rsa.folder / "number").write_text("1A\n")
    revoke = ["ca", "-gencrl", "-config", "conf", "-cert", "one.crt", "-keyfile", "one.key", "-crldays", "7"]
    rsa.openssl(*revoke, "-out", "crl.pem")
    rsa.openssl("crl", "-in", "crl.pem", "-outform", "DER", "-out", "l")
    rsa.openssl("ocsp", "-issuer", "one.crt", "-cert", "one.crt", "-reqout", "q")
    (rsa.folder / "index").write_text("")
    answer = ["ocsp", "-index", "index", "-CA", "one.crt", "-rsigner", "one.crt", "-rkey", "one.key"]
    rsa.openssl(*answer, "-ndays", "3", "-reqin", "q", "-respout", "a")
    (rsa.folder / "content").write_bytes(b"inside")
    rsa.openssl(
        "cms", "-encrypt", "-in", "content", "-outform", "DER", "-aes256", "-out", "e", "-recip", "one.crt"
    )
    sign = ["cms", "-sign", "-binary", "-nodetach", "-in", "e", "-outform", "DER", "-signer", "one.crt"]
    rsa.openssl(*sign, "-inkey", "one.key", "-out", "s")
    return [rsa.read(name) for name in "rclqaes"]


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_any_change_to_any_object_is_explained_or_refused(samples: list[bytes], data: st.DataObject) -> None:
    octets = bytearray(data.draw(st.sampled_from(samples)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(octets) - 1))
        octets[at] = data.draw(
            st.sampled_from([0x00, 0x01, 0x04, 0x05, 0x06, 0x30, 0x31, 0x80, 0xA0, 0xFF, octets[at] ^ 1])
        )
    try:
        trees = explain(bytes(octets))
    except NotUnderstood as error:
        trees = [Node(name="not understood", note=str(error))]
    for tree in trees:
        assert all(line.isprintable() for line in tree.as_text().split("\n"))
        json.dumps(tree.as_json()).encode()
