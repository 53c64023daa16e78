"""What an administrator may choose about the PKI, validated once, with clear errors.

AD CS's own words where it has them. What the choices mean for URLs and file names is in
`ca.locations`. Does not live here: reading files or the environment, and templates (`ca.templates`).
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from . import names
from .crls import CrlSchedule
from .keys import KeyKind
from .locations import PublicationLocations, check_lines, publishes_deltas, sanitized_name
from .periods import Period, PeriodSetting, PeriodUnit
from .publication_urls import CertificateFlag, CrlFlag, PublicationLine, line_of

__all__ = ["OcspSettings", "PkiSettings", "PublicationLocations", "RetentionSettings", "sanitized_name"]


def _distinguished_name(text: str) -> str:
    names.build_name(text)
    return text


def _common_name(text: str) -> str:
    if not text.strip() or len(text) > 64 or not text.isprintable():
        raise ValueError("a CA's common name is 1 to 64 printable characters (RFC 5280 A.1 ub-common-name)")
    return text


def _public_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.username is not None:
        raise ValueError("the URL names a user, and it is written into every certificate")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{url!r} is not an http URL of host, port and path (RFC 5280 4.2.1.13)")
    if parts.port == 0:  # raises ValueError where it is no number, or none that a port has
        raise ValueError(f"{url!r} has port 0, expected 1 to 65535 (RFC 3986 3.2.3)")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"{url!r} has characters that must be percent-encoded (RFC 3986 2)")
    return url.rstrip("/")


_LONGEST: Final = timedelta(days=36_525)


def _positive(period: Period) -> Period:
    if period.units < 1:
        raise ValueError(f"the period is {period}, expected more than zero")
    return period


def _countable(period: Period) -> Period:
    if period.about() > _LONGEST:
        raise ValueError(f"the period is {period}, expected at most 100 Years")
    return period


def _rsa(kind: KeyKind) -> KeyKind:
    if not kind.is_rsa:
        raise ValueError(f"{kind.value} cannot decrypt, expected rsa-2048, rsa-3072 or rsa-4096")
    return kind


def _database_url(secret: SecretStr) -> SecretStr:
    url = secret.get_secret_value()
    scheme, _, rest = url.partition(":")
    if scheme not in ("sqlite", "postgresql", "postgresql+psycopg") or not rest.startswith("//"):
        raise ValueError(
            f"a database URL begins {scheme[:20] if rest else ''!r}, expected sqlite:////absolute/path or "
            "postgresql://user:password@host/database"
        )
    if scheme == "sqlite" and not rest.startswith("////"):
        raise ValueError("the path of a SQLite database is not absolute, expected sqlite:////absolute/path")
    try:
        port = urlsplit(url).port
    except ValueError:
        port = 0
    if not url.isprintable() or port == 0:  # said without the URL: it may hold a password
        raise ValueError(
            "the database URL cannot be read: expected host or host:port, and a password without / : @ and "
            "spaces, which are percent-encoded (RFC 3986 2)"
        )
    return secret


DistinguishedName = Annotated[str, AfterValidator(_distinguished_name)]
CommonName = Annotated[str, AfterValidator(_common_name)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
PositivePeriod = Annotated[PeriodSetting, AfterValidator(_positive)]
Interval = Annotated[PeriodSetting, AfterValidator(_countable)]  # added to any instant there is
PositiveInterval = Annotated[PositivePeriod, AfterValidator(_countable)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
RsaKeyKind = Annotated[KeyKind, AfterValidator(_rsa)]


class OcspSettings(BaseModel):
    """Everything about the OCSP responder (RFC 6960) and its certificate."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    enabled: bool = Field(
        default=True, description="Answer OCSP requests, and write the responder into the AIA of certificates"
    )
    url: PublicUrl | None = Field(
        default=None, description="OCSP responder written into AIA; none: /ocsp of public_url"
    )
    key: KeyKind = Field(default=KeyKind.RSA_2048, description="Key of the responder's certificate")
    validity: PositiveInterval = Field(
        default=Period(1, PeriodUnit.HOURS), description="nextUpdate is this long after an answer is signed"
    )
    reuse: Interval = Field(
        default=Period(10, PeriodUnit.MINUTES),
        description="How long a signed answer may be given again while the status is the same, and how "
        "long caches are told to keep it; 0 signs each answer",
    )
    remembered_answers: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        default=4096, description="Signed answers kept to be given again; 0 signs each answer"
    )

    @model_validator(mode="after")
    def _reuse_must_end_first(self) -> Self:
        if self.reuse.about() >= self.validity.about():
            raise ValueError(f"reuse {self.reuse} is not shorter than validity {self.validity}")
        return self


class RetentionSettings(BaseModel):
    """What the database forgets, so that a long-lived PKI does not grow without bound.

    Certificates and their revocations are kept for ever.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    superseded_crls: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=10, description="CRLs of each key and kind that are kept beside the newest"
    )
    challenges: Interval = Field(
        default=Period(30, PeriodUnit.DAYS),
        description="How long a challenge is kept after it was spent, revoked or ran out",
    )
    scep_transactions: Interval = Field(
        default=Period(3, PeriodUnit.YEARS),
        description="How long a SCEP transaction that is not pending is kept: so long is a recorded request "
        "known again, so longer than certificates live",
    )
    pending_requests: Interval = Field(
        default=Period(90, PeriodUnit.DAYS),
        description="How long a request may wait for approval before it is denied",
    )
    resolved_requests: Interval = Field(
        default=Period(3, PeriodUnit.YEARS),
        description="How long a request is kept after it was issued or denied, and at least as long as the "
        "SCEP transaction that made it",
    )


class PkiSettings(BaseModel):
    """Everything about root, issuing CA and RA certificates."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    root_common_name: CommonName = Field(
        default="NDES Lab Test Root CA", description="Common name of the root CA"
    )
    issuing_common_name: CommonName = Field(
        default="NDES Lab Test Issuing CA", description="Common name of the issuing CA"
    )
    distinguished_name_suffix: DistinguishedName = Field(
        default="O=NDES Lab (test only)", description="What follows the common names (RFC 4514)"
    )
    ra_subject: DistinguishedName = Field(
        default="CN=NDES-LAB-MSCEP-RA,C=US", description="Subject of both RA certificates (RFC 4514)"
    )
    root_key: KeyKind = Field(default=KeyKind.RSA_2048, description="Key of the root CA")
    issuing_key: KeyKind = Field(default=KeyKind.RSA_2048, description="Key of the issuing CA")
    ra_key: RsaKeyKind = Field(
        default=KeyKind.RSA_2048, description="Keys of the RA: RSA, because clients encrypt to one of them"
    )
    root_validity: PositivePeriod = Field(
        default=Period(10, PeriodUnit.YEARS), description="Validity of the root's certificate"
    )
    issuing_validity: PositivePeriod = Field(
        default=Period(5, PeriodUnit.YEARS), description="Validity of the issuing CA's certificate"
    )
    validity_period: PositivePeriod = Field(
        default=Period(2, PeriodUnit.YEARS),
        description="Longest validity of anything the issuing CA issues, whatever the template says",
    )
    clock_skew_minutes: Annotated[int, Field(ge=0, le=24 * 60)] = Field(
        default=10, description="ClockSkewMinutes: how far notBefore and thisUpdate are back-dated"
    )

    public_url: PublicUrl = Field(
        default="http://127.0.0.1:8081",
        description="Where clients reach the publisher: CDP and AIA start so. RFC 5280 4.2.1.6 wants an "
        "address or a fully qualified name as host, which localhost is not",
    )
    virtual_directory: str = Field(
        default="/CertEnroll",
        pattern=r"^/[A-Za-z0-9_~-][A-Za-z0-9._~-]*$",
        description="Path of CRLs and CA certificates",
    )
    server_dns_name: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9_-][A-Za-z0-9._-]*)?$",
        description="First part of CA certificate file names (%1); empty: the host of public_url",
    )
    ocsp: OcspSettings = OcspSettings()
    retention: RetentionSettings = RetentionSettings()

    crl_publication_urls: tuple[str, ...] = Field(
        default=(),
        description="CRLPublicationURLs: flags, a colon, and a URL or path with the tokens %1 to %11, such "
        "as 79:http://%1/CertEnroll/%3%8%9.crl; empty: that under public_url and virtual_directory",
    )
    ca_cert_publication_urls: tuple[str, ...] = Field(
        default=(),
        description="CACertPublicationURLs, likewise; empty: 3:.../%1_%3%4.crt under public_url",
    )
    configuration_container: DistinguishedName = Field(
        default="DC=UnavailableConfigDN",
        description="%6 of the publication URLs: the directory's configuration container",
    )
    freshest_crl_in_certificates: bool = Field(
        default=False, description="Write the place of the delta CRL into certificates too"
    )

    crl_period: PositiveInterval = Field(
        default=Period(1, PeriodUnit.WEEKS), description="CRLPeriod of the issuing CA"
    )
    crl_overlap: Interval = Field(
        default=Period(0, PeriodUnit.HOURS),
        description="CRLOverlapPeriod; 0 is automatic: 10 % of the period, at most 12 hours",
    )
    crl_delta_period: Interval = Field(
        default=Period(1, PeriodUnit.DAYS), description="CRLDeltaPeriod; 0 publishes no delta CRLs"
    )
    crl_delta_overlap: Interval = Field(
        default=Period(0, PeriodUnit.MINUTES),
        description="CRLDeltaOverlapPeriod; 0 is automatic: 10 % of the period, at most 12 hours",
    )
    crl_delta_use_oldest_unexpired_base: bool = Field(
        default=False,
        description="CRLF_DELTA_USE_OLDEST_UNEXPIRED_BASE: delta CRLs complete the oldest base that is "
        "still valid, and not only the newest",
    )
    root_crl_period: PositiveInterval = Field(
        default=Period(1, PeriodUnit.YEARS), description="CRLPeriod of the offline root"
    )
    root_crl_overlap: Interval = Field(
        default=Period(4, PeriodUnit.WEEKS), description="CRLOverlapPeriod of the offline root"
    )

    request_certificates: tuple[str, ...] = Field(
        default=("Authenticated Users",),
        description="Principals with the Request Certificates permission on the issuing CA",
    )
    check_request_agent_revocation: bool = Field(
        default=False,
        description="Refuse requests while no CRL is in force by which the certificate of the RA that hands "
        "them in could be checked, as AD CS does",
    )
    enforce_x500_name_lengths: bool = Field(
        default=True, description="EnforceX500NameLengths: refuse RDNs longer than X.520's upper bounds"
    )
    accept_sha1_requests: bool = Field(default=True, description="Take PKCS#10 requests signed with SHA-1")
    accept_md5_requests: bool = Field(default=True, description="Take PKCS#10 requests signed with MD5")

    key_passphrase: SecretStr | None = Field(
        default=None, description="Opens the keys of issuing CA and RA; none: made and kept in secrets/"
    )
    root_passphrase: SecretStr | None = Field(
        default=None, description="Opens the root's key; none: made and kept in root/"
    )
    challenge_digest_key: SecretStr | None = Field(
        default=None, description="Keys the digests of challenge passwords; none: made and kept in secrets/"
    )

    database_url: DatabaseUrl | None = Field(
        default=None,
        description="Database: sqlite:////absolute/path or postgresql://user:password@host/database; none: "
        "SQLite in the data folder",
    )
    database_connections: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=16,
        description="Connections to PostgreSQL that each process has at most; it needs one for each thread",
    )
    database_url_file: Path | None = Field(default=None, description="File that holds database_url instead")
    database_password: SecretStr | None = Field(
        default=None, description="Password for the user in database_url, where that has none"
    )

    @model_validator(mode="after")
    def _names_must_differ(self) -> Self:
        if names.same_name(self.root_name, self.issuing_name):
            raise ValueError("root and issuing CA have the same name, so no chain could tell them apart")
        for which in ("key_passphrase", "root_passphrase", "challenge_digest_key"):
            secret: SecretStr | None = getattr(self, which)
            if secret is not None and len(secret.get_secret_value()) < 8:
                raise ValueError(f"{which} is shorter than 8 characters")
        return self

    @model_validator(mode="after")
    def _database_has_one_password(self) -> Self:
        if self.database_password is not None:
            url = urlsplit(self.database_url.get_secret_value() if self.database_url else "")
            if url.scheme in ("", "sqlite") or not url.username or url.password is not None:
                raise ValueError(
                    "database_password goes with a database_url that has a user and no password, such as "
                    "postgresql://user@host/database"
                )
        return self

    @model_validator(mode="after")
    def _places_must_be_usable(self) -> Self:
        check_lines(self.crl_lines, self.certificate_lines, deltas=self.publishes_deltas)
        return self

    @property
    def ceremony_keys(self) -> tuple[KeyKind, KeyKind, KeyKind, KeyKind]:
        """The kinds of the keys that the ceremony makes: root, issuing CA, RA signing, RA encryption."""
        return self.root_key, self.issuing_key, self.ra_key, self.ra_key

    @property
    def crl_lines(self) -> tuple[PublicationLine, ...]:
        """CRLPublicationURLs, read."""
        if not self.crl_publication_urls:
            return (line_of(79, f"{self.public_url}{self.virtual_directory}/", "%3%8%9.crl"),)
        return tuple(PublicationLine.parse(text, known=CrlFlag) for text in self.crl_publication_urls)

    @property
    def certificate_lines(self) -> tuple[PublicationLine, ...]:
        """CACertPublicationURLs, read."""
        if not self.ca_cert_publication_urls:
            return (line_of(3, f"{self.public_url}{self.virtual_directory}/", "%1_%3%4.crt"),)
        return tuple(
            PublicationLine.parse(text, known=CertificateFlag) for text in self.ca_cert_publication_urls
        )

    @property
    def publishes_deltas(self) -> bool:
        """Whether the issuing CA publishes delta CRLs: there is a period, and a place with flag 64."""
        return self.crl_delta_period.units > 0 and publishes_deltas(self.crl_lines)

    @property
    def root_name(self) -> bytes:
        """The root's Name, DER."""
        return self._name(self.root_common_name)

    @property
    def issuing_name(self) -> bytes:
        """The issuing CA's Name, DER."""
        return self._name(self.issuing_common_name)

    def _name(self, common_name: str) -> bytes:
        suffix = names.build_name(self.distinguished_name_suffix)
        return names.with_common_name(suffix, common_name)

    @property
    def clock_skew(self) -> timedelta:
        """How far notBefore and thisUpdate are back-dated."""
        return timedelta(minutes=self.clock_skew_minutes)

    @property
    def crl_schedule(self) -> CrlSchedule:
        """When the issuing CA publishes."""
        return self._schedule(self.crl_period, self.crl_overlap)

    @property
    def crl_delta_schedule(self) -> CrlSchedule | None:
        """When the issuing CA publishes delta CRLs, if it does."""
        if not self.publishes_deltas:
            return None
        return self._schedule(self.crl_delta_period, self.crl_delta_overlap)

    @property
    def root_crl_schedule(self) -> CrlSchedule:
        """When the root publishes."""
        return self._schedule(self.root_crl_period, self.root_crl_overlap)

    def _schedule(self, period: Period, overlap: Period) -> CrlSchedule:
        return CrlSchedule(period=period.about(), overlap=overlap.about(), clock_skew=self.clock_skew)

    @property
    def host(self) -> str:
        """The server's DNS name (%1 of the publication URLs)."""
        return self.server_dns_name or urlsplit(self.public_url).hostname or "localhost"

    @property
    def ocsp_url(self) -> str:
        """Where the OCSP responder is, for those who may ask it."""
        return self.ocsp.url or f"{self.public_url}/ocsp"

    @property
    def root_locations(self) -> PublicationLocations:
        """Where the root's CRL and certificate are: what the issuing CA's certificate says."""
        return PublicationLocations.of(self, self.root_common_name, ocsp=False)

    @property
    def issuing_locations(self) -> PublicationLocations:
        """Where the issuing CA's CRL and certificate are: what issued certificates say."""
        return PublicationLocations.of(self, self.issuing_common_name, ocsp=True)
