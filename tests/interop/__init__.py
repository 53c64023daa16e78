"""Foreign programs as judges: what they obtain from us, and what they say of our messages."""
