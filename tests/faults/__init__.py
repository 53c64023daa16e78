"""Every fault in the catalogue: shown on the wire, met by the strict client, and gone afterwards."""
