"""Explain octets: SCEP messages, CMS, certificate requests, certificates, CRLs and OCSP, as trees of words.

Lives here: recognising what the octets are, and turning them into `Node`s. Everything is read by
asn1crypto, not by our codec, so that the two can contradict each other. Does not live here: the
command line, judgement of trust.
"""

from .opening import EnvelopeKeys
from .recognise import NotUnderstood, explain
from .tree import Node

__all__ = ["EnvelopeKeys", "Node", "NotUnderstood", "explain"]
