"""The first page: how things stand, and what changed."""
