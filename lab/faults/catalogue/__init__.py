"""The faults themselves, a module for each seam; `lab.faults.registry.catalogue` finds them here."""
