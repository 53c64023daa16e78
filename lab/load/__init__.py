"""Load on any SCEP server: messages made beforehand, sent by many clients at once, and what came of it.

Lives here: keys and messages in bulk, sending, counting. Does not live here: judging replies in depth
(`lab.client` does that); a reply counts by its HTTP status and pkiStatus.
"""
