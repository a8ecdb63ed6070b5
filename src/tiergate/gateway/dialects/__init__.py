"""What each API says: requests, answers and errors in the caller's own dialect."""
