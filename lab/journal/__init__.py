"""The journal: every exchange at the SCEP and PKI listeners, kept whole, bounded, and found again.

Lives here: what is kept of an exchange (`entry`), without which secrets (`secrets`), in memory (`journal`)
and in files (`folder`), how it is written down (`records`), explained (`trees`), compared (`difference`),
sent again (`replay`) and handed on (`export`). Does not live here: the management API and the command
line over it, and anything that answers a request.

A lab that looks at its own health asks its own listeners. `RunningLab` knows those exchanges by a
User-Agent that no client knows, and keeps them out: the journal has what others asked.
"""

from .entry import EntryVerdict, IssuedCertificate, JournalEntry
from .journal import Journal, NoSuchEntry
from .query import JournalQuery

__all__ = ["EntryVerdict", "IssuedCertificate", "Journal", "JournalEntry", "JournalQuery", "NoSuchEntry"]
