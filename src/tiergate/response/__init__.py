"""What do we do about it: from a case to verdicts, and back."""
