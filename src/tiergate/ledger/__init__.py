"""What happened: exchanges as an append-only log, their sketches, and verdicts."""
