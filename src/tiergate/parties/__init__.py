"""Who asks: registered accounts and their credentials."""
