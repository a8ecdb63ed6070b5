"""Frozen evidence: one file that holds what a case rests on, and runs again anywhere."""
