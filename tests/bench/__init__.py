"""The benchmarks of ``make bench``: everything measured in one run, on loopback, in a few minutes.

Each module measures one thing and returns figures; ``__main__`` runs them and prints the table, with
the budgets beside them. Nothing here is a test: a number that is too high fails nobody.
"""
