"""The SCEP codec of RFC 8894, pure: octets and values in, octets and values out.

No I/O, no clock, no randomness: time, nonces, keys and serial numbers arrive as values. Server and
client share it. Of our other packages only `ca.der` and `ca.oids` may be imported here.
"""
