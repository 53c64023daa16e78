"""HTTP octets -> SCEP message -> RA decision -> CertRep octets. Knows nothing of the lab around it."""
