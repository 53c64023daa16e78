"""What Microsoft's server would answer: behaviour profiles and the NDES face."""
