"""What peers told, what we tell them, and joint detection."""
