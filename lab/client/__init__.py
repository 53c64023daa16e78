"""The lab's own SCEP client: enrol, renew, poll, and ask for certificates and CRLs (RFC 8894).

It is strict: what RFC 8894 has a client check is checked, and a reply that fails is not acted on.
Lives here: transport, authentication of the CA, the choice of algorithms, the order of things, and
the files an enrolment leaves. Does not live here: encoding (`scep_server.protocol.client`), building
chains (`lab.trust`), the command line (`lab.commands.enroll`).
"""

from .ca_certificates import CaTrust, TrustedCa
from .capabilities import Algorithms, Capabilities, Preferences
from .client import LENIENT_POLICY, STRICT_POLICY, ScepClient
from .errors import ClientError, HttpRefused, InvalidOrder, ReplyRejected, Unreachable, UntrustedCa
from .orders import Enrolment, Identity, Order, Patience
from .outcomes import Issued, Outcome, Pending, Refused
from .requests import generate_key, load_key, parse_alternative_name, parse_subject
from .session import EnrolmentSession
from .state import OutputFolder
from .transport import HttpTransport, Transport

__all__ = [
    "LENIENT_POLICY",
    "STRICT_POLICY",
    "Algorithms",
    "CaTrust",
    "Capabilities",
    "ClientError",
    "Enrolment",
    "EnrolmentSession",
    "HttpRefused",
    "HttpTransport",
    "Identity",
    "InvalidOrder",
    "Issued",
    "Order",
    "Outcome",
    "OutputFolder",
    "Patience",
    "Pending",
    "Preferences",
    "Refused",
    "ReplyRejected",
    "ScepClient",
    "Transport",
    "TrustedCa",
    "Unreachable",
    "UntrustedCa",
    "generate_key",
    "load_key",
    "parse_alternative_name",
    "parse_subject",
]
