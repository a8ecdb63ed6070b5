"""Worlds to test against, and a model provider to test with."""
