"""Pages for people: what the control API knows and does, to be looked at and decided in a browser."""
