"""Other products' logs, read into the columns of the exchange log."""
