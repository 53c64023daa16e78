"""NDES's events in the Windows Application log: which there are, what they say, how they look.

Provider `Microsoft-Windows-NetworkDeviceEnrollmentService`. Texts are Microsoft's where a source has
them; an id whose text no source gives carries a text of ours and is marked ``synthetic`` in every
rendering, so that nobody searches the web for a sentence that Windows never printed.

Lives here: the table and the three renderings. Does not live here: when an event is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from datetime import datetime

PROVIDER: Final = "Microsoft-Windows-NetworkDeviceEnrollmentService"
PROVIDER_GUID: Final = "{73144342-19d1-47a4-94de-d38e6a054ad5}"
CHANNEL: Final = "Application"
KEYWORDS: Final = "0x8000000000000000"
_EVENT_NAMESPACE: Final = "http://schemas.microsoft.com/win/2004/08/events/event"
_SERVICE: Final = "The Network Device Enrollment Service"


class Level(Enum):
    """Level of an event; the value is the number in the XML."""

    ERROR = 2
    INFORMATION = 4

    @property
    def text(self) -> str:
        """Return the word of the event viewer."""
        return self.name.capitalize()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTemplate:
    """One event id.

    ``text`` holds %1 and %2 for ErrorCode and ErrorMessage. ``data_name`` is the EventData Name, empty
    where no source gives it. ``synthetic`` marks a text that is ours.
    """

    id: int
    level: Level
    text: str
    data_name: str = ""
    synthetic: bool = False

    @property
    def takes_error(self) -> bool:
        """Whether the text quotes an error code and message."""
        return "%1" in self.text


def _error(number: int, text: str, data_name: str = "", *, synthetic: bool = False) -> EventTemplate:
    return EventTemplate(
        id=number, level=Level.ERROR, text=f"{_SERVICE} {text}", data_name=data_name, synthetic=synthetic
    )


def _information(number: int, text: str) -> EventTemplate:
    return EventTemplate(id=number, level=Level.INFORMATION, text=f"{_SERVICE} {text}")


_PASSWORD_UNVERIFIED: Final = EventTemplate(
    id=29,
    level=Level.ERROR,
    text="The password in the certificate request cannot be verified. It may have been used already. "
    "Obtain a new password to submit with this request.",
)

EVENTS: Final[dict[int, EventTemplate]] = {
    template.id: template
    for template in (
        _information(1, "started successfully."),
        _error(2, "cannot be started (%1).  %2", "EVENT_MSCEP_FAILED_TO_LOAD"),
        _information(3, "has been stopped."),
        _error(4, "cannot be stopped (%1).  %2"),
        _error(
            6,
            "cannot provide its password because the user does not have Enroll permissions on the "
            "configured certificate template, or the certification authority is not enabled to issue "
            "certificates based on the configured certificate template.",
        ),
        _error(7, "failed to return the certification authority certificate(s) to the caller (%1).  %2"),
        _error(8, "cannot retrieve information about the certification authority (%1).  %2"),
        _error(9, "cannot use its configuration (%1).  %2", synthetic=True),
        _error(
            10, "cannot retrieve one of its required certificates (%1).  %2", "EVENT_MSCEP_FAILED_RA_CERT"
        ),
        _error(13, "cannot encrypt the response to a client request (%1).  %2"),
        _error(16, "cannot decode the http message from the client (%1).  %2", "EVENT_MSCEP_FAIL_TO_DECODE"),
        _error(
            17,
            "cannot retrieve required information, such as the transaction ID, message type, or signing "
            "certificate, from the client's PKCS7 message (%1).  %2",
            "EVENT_MSCEP_FAIL_TO_RETRIEVE_INFO",
        ),
        _error(
            18, "cannot decrypt the client's PKCS7 message (%1).  %2", "EVENT_MSCEP_FAIL_TO_DECRYPT_INNER"
        ),
        _error(19, "cannot process the content of the client's message (%1).  %2", synthetic=True),
        _error(28, "cannot verify the certificate that signs a renewal request (%1).  %2", synthetic=True),
        _PASSWORD_UNVERIFIED,
        _error(31, "cannot submit the certificate request (%1).  %2", "EVENT_MSCEP_FAIL_SUBMIT"),
        _error(34, "cannot retrieve a pending certificate request (%1).  %2", synthetic=True),
        _error(35, "cannot return an issued certificate (%1).  %2", synthetic=True),
        _error(44, "cannot create a challenge password (%1).  %2", synthetic=True),
        _error(49, "cannot sign the response to a client request (%1).  %2", synthetic=True),
        _error(51, "cannot call its policy module (%1).  %2", synthetic=True),
        _error(53, "cannot start its policy module (%1).  %2", synthetic=True),
    )
}
"""Every id a source names. 5 is known not to exist; ids above 53 are unknown and not made up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One written event. ``error_code`` and ``error_message`` fill %1 and %2 as they are."""

    record_id: int
    id: int
    at: datetime
    error_code: str = ""
    error_message: str = ""
    computer: str = "NDES"
    user_sid: str = "S-1-5-82-1-2-3-4-5"  # shape of an application pool identity's SID
    transaction_id: str | None = None  # ours: which request it was about; Windows does not say

    @property
    def template(self) -> EventTemplate:
        """Return the table's row."""
        return EVENTS[self.id]

    @property
    def text(self) -> str:
        """Return the message as the event viewer shows it."""
        filled = self.template.text.replace("%1", self.error_code).replace("%2", self.error_message)
        return filled.rstrip()

    def as_json(self) -> dict[str, object]:
        """Return the event as JSON-ready values, ``synthetic`` saying whether the text is ours."""
        return {
            "record_id": self.record_id,
            "event_id": self.id,
            "level": self.template.level.text,
            "time_created": self.at.isoformat(),
            "provider": PROVIDER,
            "channel": CHANNEL,
            "computer": self.computer,
            "message": self.text,
            "error_code": self.error_code,
            "error_message": self.error_message,
            "transaction_id": self.transaction_id,
            "synthetic": self.template.synthetic,
        }

    def as_text(self) -> str:
        """Return one paragraph in the manner of ``wevtutil qe Application /f:text``."""
        note = "\n  (The text of this event is not known from Windows; this one is synthetic.)"
        return (
            f"Event[{self.record_id}]\n"
            f"  Log Name: {CHANNEL}\n"
            f"  Source: {PROVIDER}\n"
            f"  Date: {self.at:%Y-%m-%dT%H:%M:%S}.{self.at.microsecond:06d}0Z\n"
            f"  Event ID: {self.id}\n"
            f"  Task: N/A\n"
            f"  Level: {self.template.level.text}\n"
            f"  Computer: {self.computer}\n"
            f"  Description:\n"
            f"{self.text}{note if self.template.synthetic else ''}\n"
        )

    def as_xml(self) -> str:
        """Return the event as Windows renders it in XML."""
        event = ET.Element("Event", xmlns=_EVENT_NAMESPACE)
        system = ET.SubElement(event, "System")
        ET.SubElement(system, "Provider", Name=PROVIDER, Guid=PROVIDER_GUID)
        for name, value in (
            ("EventID", str(self.id)),
            ("Version", "0"),
            ("Level", str(self.template.level.value)),
            ("Task", "0"),
            ("Opcode", "0"),
            ("Keywords", KEYWORDS),
        ):
            ET.SubElement(system, name).text = value
        ET.SubElement(
            system,
            "TimeCreated",
            SystemTime=f"{self.at:%Y-%m-%dT%H:%M:%S}.{self.at.microsecond:06d}0Z",
        )
        ET.SubElement(system, "EventRecordID").text = str(self.record_id)
        ET.SubElement(system, "Correlation")
        ET.SubElement(system, "Execution", ProcessID="0", ThreadID="0")
        ET.SubElement(system, "Channel").text = CHANNEL
        ET.SubElement(system, "Computer").text = _xml_text(self.computer)
        ET.SubElement(system, "Security", UserID=self.user_sid)
        if self.template.takes_error:
            attributes = {"Name": self.template.data_name} if self.template.data_name else {}
            data = ET.SubElement(event, "EventData", attributes)
            ET.SubElement(data, "Data", Name="ErrorCode").text = _xml_text(self.error_code)
            ET.SubElement(data, "Data", Name="ErrorMessage").text = _xml_text(self.error_message)
        else:
            ET.SubElement(event, "EventData")
        return ET.tostring(event, encoding="unicode")


def _xml_text(value: str) -> str:
    """Return ``value`` without the control characters that XML 1.0 (2.2) has no form for."""
    return "".join(
        character if character in "\t\n\r" or character >= " " else "\N{REPLACEMENT CHARACTER}"
        for character in value
        if not "\ud800" <= character <= "\udfff" and character not in "\ufffe\uffff"
    )
