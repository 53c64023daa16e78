"""Build worlds, break them, enrol against them, report: the only package that knows all others."""
