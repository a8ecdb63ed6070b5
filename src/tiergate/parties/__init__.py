"""Who asks: registered accounts and their credentials, and who owns whom."""
