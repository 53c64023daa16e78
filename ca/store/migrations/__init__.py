"""Schema changes, in order; run by `ca.store.schema`, never by hand."""
