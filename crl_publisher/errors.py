"""Why signed bytes are not published."""

from __future__ import annotations


class PublicationRefused(Exception):
    """The bytes fail a check; what was published before stays as it was."""


class Superseded(PublicationRefused):
    """A CRL with the same or a higher number is already published: somebody was faster."""
