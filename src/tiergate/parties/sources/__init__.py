"""Registers and lists, read into facts: one module for each, all streaming."""
