"""The embedded web server: bind first, know the address, serve later, stop without a trace.

Sockets are bound before anything else happens, because their addresses go into certificates. One
`Listener` is one cheroot server with its own threads. What cheroot leaves open is settled here:

* a connection occupies a thread only once its first octets have arrived (`server`), and a request must
  have arrived whole within a deadline, however slowly its octets drip (`streams`);
* requests whose framing a proxy could read in another way are refused (`request`; RFC 9112 6.3, 11.2);
* absolute-form request targets are served (RFC 9112 3.2.2: a server MUST accept them);
* a refused request is answered so that a client still sending can read the answer (`connection`;
  RFC 9112 9.6);
* answers that take their time on purpose keep nobody else waiting (`workers`, `raw_connection`);
* the Server header names no version.
"""

from .limits import ListenerLimits
from .listener import Listener, ListenerError
from .raw_connection import RAW_CONNECTION_KEY, RawConnection

__all__ = ["RAW_CONNECTION_KEY", "Listener", "ListenerError", "ListenerLimits", "RawConnection"]
