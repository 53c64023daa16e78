"""The operations of the management API, a module for each resource.

Lives here: declarations, each a line or two over the desk. Does not live here: what is done (`local`),
HTTP (`serving`). Nothing is imported here, so that a client loads only what it asks for.
"""

__all__: list[str] = []
