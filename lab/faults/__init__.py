"""What goes wrong on purpose: the catalogue of faults, rules for when they are met, and their installation.

Lives here: anything false, late or missing on purpose. The product packages know nothing of it; every
fault is a function on a value at a seam, installed by wrapping a collaborator.
"""
