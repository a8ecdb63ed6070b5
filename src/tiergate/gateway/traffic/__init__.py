"""Sums of the exchange log by minute, hour and day, kept up as it grows, so that pages need not read the log."""
