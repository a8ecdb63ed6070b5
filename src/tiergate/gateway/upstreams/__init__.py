"""Asking the models behind the door: addresses, connections that are kept, answers read as they come."""
