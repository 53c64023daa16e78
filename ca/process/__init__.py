"""What every program of the product needs to be one: settings from their sources, logs, workers, status.

Nothing of the CA itself uses it.
"""
