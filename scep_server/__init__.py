"""HTTP octets -> SCEP message -> RA decision -> CertRep octets.

Lives here: SCEP over HTTP (`operations`, `transport`, `app`), the registration authority's decision
(`registration`, `enrolment`, `queries`), the one table of `outcomes`, and what observers are shown
(`exchange`). `protocol/` is the codec, `ndes/` Microsoft's face. Nothing is imported here, so that
the codec can be had without a web framework. Does not live here: issuing (`ca`), publishing, and the
making of worlds.
"""

__all__: list[str] = []
