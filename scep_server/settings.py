"""What an administrator may choose about SCEP, validated once, with clear errors.

`ScepSettings` holds the endpoints by name; each `EndpointSettings` is one way to enrol: who may,
under which template, with which algorithms. Does not live here: reading files or the environment.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from .ndes.profiles import BehaviourProfile, ProfileName, profile_with
from .protocol.algorithms import AlgorithmPolicy
from .transport import DEFAULT_ENDPOINT

DEFAULT_TEMPLATE = "SCEP-Client-Auth"

# Every stored password may have to be tried, so less than the codec's own bound.
_MAXIMUM_PBKDF2_ITERATIONS = 100_000

EndpointName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
TemplateName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Days = Annotated[int, Field(ge=0, le=36_500)]


def _network(value: object) -> object:
    """Return the network that a text names; one address is a network, too."""
    if not isinstance(value, str):
        return value
    try:
        return ip_network(value)
    except ValueError as error:
        raise ValueError(f"{error}; expected a network such as 10.0.0.0/8 or 2001:db8::/32") from error


Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TemplateChoice(_Settings):
    """Which template a request is issued under, by the key usage it asks for.

    NDES's SignatureTemplate (digitalSignature alone), EncryptionTemplate (keyEncipherment alone)
    and GeneralPurposeTemplate (both, or no key usage asked for).
    """

    signature: TemplateName = DEFAULT_TEMPLATE
    encryption: TemplateName = DEFAULT_TEMPLATE
    general_purpose: TemplateName = DEFAULT_TEMPLATE


class RenewalSettings(_Settings):
    """Who may renew a certificate with a certificate (RFC 8894 2.3, 2.4, 3.3.1)."""

    enabled: bool = Field(
        default=True,
        description="Take RenewalReq, and PKCSReq signed by a certificate of this CA; advertise Renewal.",
    )
    require_challenge: bool = Field(
        default=False,
        description="Ask for a good challengePassword besides the certificate (RFC 8894 2.4).",
    )
    subject_must_match: bool = Field(
        default=True,
        description="Refuse a subject other than the old certificate's "
        "(NDES: DisableRenewalSubjectNameMatch).",
    )
    names_must_match: bool = Field(
        default=False,
        description="Refuse a subjectAltName with a name that the old certificate does not have.",
    )
    earliest_days_before_expiry: Days | None = Field(
        default=None, description="Refuse to renew sooner than this before the end; none: at any time."
    )
    grace_days_after_expiry: Days = Field(
        default=0, description="Renew certificates that expired at most this long ago."
    )
    approval: Literal["auto", "manual"] = Field(
        default="auto", description="Whether a certificate manager must approve renewals."
    )
    renewal_req: Literal["profile", "accept", "reject"] = Field(
        default="profile",
        description="Whether messageType 17 (RenewalReq) renews, besides PKCSReq; profile: as the "
        "behaviour profile has it (NDES rejects it).",
    )
    templates: tuple[TemplateName, ...] = Field(
        default=(), description="Renew only certificates of these templates; empty: of any."
    )


class EndpointSettings(_Settings):
    """One way to enrol."""

    profile: ProfileName | None = Field(
        default=None, description="Behaviour profile of this endpoint; none: that of scep.profile."
    )
    profile_fields: dict[str, Any] = Field(
        default_factory=dict, description="Fields of the profile that are otherwise at this endpoint."
    )
    challenge: Literal["required", "optional", "none"] = Field(
        default="required",
        description="required: no certificate without a good challengePassword. optional: without one "
        "a certificate manager must approve. none: the password is not looked at.",
    )
    approval: Literal["auto", "manual"] = Field(
        default="auto", description="manual: every request waits for a certificate manager."
    )
    templates: TemplateChoice = TemplateChoice()
    requester: str = Field(
        default="Authenticated Users",
        description="Principal whose Enroll permission on the template counts.",
    )
    renewal: RenewalSettings = RenewalSettings()
    retry_window_hours: Annotated[int, Field(ge=0, le=24 * 365)] = Field(
        default=24,
        description="How long a repeated request gets the certificate it was issued again, at most "
        "half the certificate's validity.",
    )
    legacy_algorithms: Literal["accept", "refuse"] = Field(
        default="accept", description="Single DES and MD5 in requests (RFC 8894 2.9: MUST NOT)."
    )
    sha1: Literal["accept", "refuse"] = Field(default="accept", description="SHA-1 in requests.")
    triple_des: Literal["accept", "refuse"] = Field(default="accept", description="3DES in requests.")
    advertise_sha384: bool = Field(
        default=True,
        description="List SHA-384, which RFC 8894 3.5.2 does not name: strongSwan before 5.9.11 refuses "
        "to enrol without it.",
    )
    csr_key_must_sign: bool = Field(
        default=False,
        description="Refuse a self-signed signer whose key is not the request's (Apple's and "
        "micromdm's clients differ there).",
    )
    maximum_clock_skew_minutes: Annotated[int, Field(ge=1, le=366 * 24 * 60)] | None = Field(
        default=None,
        description="Refuse a signingTime further than this from our clock with badTime; none: any.",
    )
    accept_base64_body: bool = Field(
        default=False, description="Take POST bodies that are Base64 or PEM instead of DER."
    )
    password_recipients: bool = Field(
        default=False,
        description="Open envelopes under a challenge password (keys that cannot decrypt, RFC 8894 "
        "3.1); needs challenges that are stored sealed.",
    )
    get_cert: Literal["holders", "anyone", "refuse"] = Field(
        default="holders",
        description="Who gets certificates by GetCert: holders of a valid certificate of this CA, "
        "anyone, nobody.",
    )
    get_crl: Literal["holders", "anyone", "refuse"] = Field(
        default="anyone", description="Who gets the CRL by GetCRL."
    )

    @cached_property
    def algorithm_policy(self) -> AlgorithmPolicy:
        """Return what the codec lets in."""
        return AlgorithmPolicy(
            legacy=self.legacy_algorithms,
            sha1=self.sha1,
            triple_des=self.triple_des,
            maximum_pbkdf2_iterations=_MAXIMUM_PBKDF2_ITERATIONS,
        )

    @property
    def retry_window(self) -> timedelta:
        """Return how long a repeated request gets the same certificate again."""
        return timedelta(hours=self.retry_window_hours)


class LimitSettings(_Settings):
    """How much is read of one request, and how much is kept for those who have nothing yet."""

    maximum_body_octets: Annotated[int, Field(ge=1024)] = Field(
        default=1 << 20, description="Longer bodies get HTTP 413; real requests have some 4 KiB."
    )
    maximum_url_octets: Annotated[int, Field(ge=2048)] = Field(
        default=1 << 16, description="Longer paths and queries get HTTP 414; a GET has some 8 KiB."
    )
    pending_per_endpoint: Annotated[int, Field(ge=1)] | None = Field(
        default=10_000,
        description="Requests that may wait for approval at one endpoint, except where it behaves as NDES; "
        "none: any number.",
    )


class BrakeSettings(_Settings):
    """What slows down a client that asks too often, or guesses challenges.

    Counted in memory by each process. An endpoint that behaves as NDES has no brakes, as NDES has none.
    """

    enabled: bool = Field(
        default=False,
        description="Whether any of these counts. Off, because in a lab all clients are often one address; "
        "on wherever strangers reach the server. Not at endpoints that behave as NDES, which has no brakes.",
    )
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=120,
        description="Requests one address may send in the long run, an IPv6 /64 counting as one; more get "
        "HTTP 429 with Retry-After; none: any number.",
    )
    burst: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=60, description="Requests an address may send at once after a while of silence."
    )
    wrong_challenges_per_address: Annotated[int, Field(ge=1, le=1_000)] | None = Field(
        default=10,
        description="Wrong challenges within the window after which those of the address are refused "
        "without looking, good ones too; none: any number.",
    )
    wrong_challenges_per_endpoint: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=200,
        description="The same for all addresses at one endpoint together: whoever has many addresses can "
        "stop enrolment there for a while; none: any number.",
    )
    challenge_window_minutes: Annotated[int, Field(ge=1, le=7 * 24 * 60)] = Field(
        default=15, description="Time within which wrong challenges are counted together."
    )
    first_hold_seconds: Annotated[int, Field(ge=1, le=24 * 3600)] = Field(
        default=30,
        description="How long challenges are refused the first time; each further wrong one doubles it.",
    )
    longest_hold_minutes: Annotated[int, Field(ge=1, le=7 * 24 * 60)] = Field(
        default=60, description="How long at most."
    )
    pending_per_address: Annotated[int, Field(ge=1)] | None = Field(
        default=50,
        description="Requests of one address that may wait for approval at one endpoint; none: any number.",
    )
    trusted_proxies: tuple[Network, ...] = Field(
        default=(),
        description="Networks of proxies whose X-Forwarded-For says who the client is; empty: the client "
        "is whoever connects.",
    )


class CaCertificateSettings(_Settings):
    """How GetCACert answers."""

    include_root: bool = Field(
        default=True,
        description="Send the chain up to and with the root (Windows looks for its thumbprint there).",
    )
    order: Literal["ra-first", "ca-first"] = Field(
        default="ra-first", description="ra-first: as NDES. ca-first: issuing CA and chain, then the RA."
    )


class ScepSettings(_Settings):
    """Everything about SCEP."""

    profile: ProfileName = Field(
        default="modern",
        description="Behaviour profile: modern is RFC 8894, ndes-2012r2 and ndes-2019 answer as "
        "Microsoft's server does.",
    )
    profile_fields: dict[str, Any] = Field(
        default_factory=dict,
        description="Single fields of the profile that are otherwise, such as "
        '{"reply_key_transport": "pkcs1v15"}.',
    )
    endpoints: dict[EndpointName, EndpointSettings] = Field(
        default_factory=lambda: {DEFAULT_ENDPOINT: EndpointSettings()},
        description="Endpoints by name; 'default' is the one at /scep and /certsrv/mscep.",
    )
    limits: LimitSettings = LimitSettings()
    brakes: BrakeSettings = BrakeSettings()
    ca_certificates: CaCertificateSettings = CaCertificateSettings()

    @model_validator(mode="after")
    def _names_must_work(self) -> Self:
        names = [name.lower() for name in self.endpoints]
        if DEFAULT_ENDPOINT not in self.endpoints:
            raise ValueError(f"endpoints has no '{DEFAULT_ENDPOINT}', which /scep and /certsrv/mscep mean")
        if len(set(names)) != len(names):
            raise ValueError("endpoint names must differ in more than case, as paths are matched without")
        if "cgi-bin" in names:
            raise ValueError("'cgi-bin' cannot be the name of an endpoint: clients append it to URLs")
        return self

    @model_validator(mode="after")
    def _profiles_must_exist(self) -> Self:
        for name in self.endpoints:
            self.profile_of(name)
        return self

    @property
    def ndes_profile(self) -> BehaviourProfile:
        """Return the profile of the endpoint at NDES's own path."""
        return self.profile_of(DEFAULT_ENDPOINT)

    def profile_of(self, endpoint: str) -> BehaviourProfile:
        """Return the behaviour profile of an endpoint, with the fields that are otherwise.

        Raises:
            BadProfile: a field is unknown or has a value it cannot have; settings with such a field
                cannot be made.

        """
        settings = self.endpoints[endpoint]
        changes = {**self.profile_fields, **settings.profile_fields}
        return profile_with(settings.profile or self.profile, changes)
