"""Put signed CRLs and CA certificates where clients look for them. No signing happens here."""
