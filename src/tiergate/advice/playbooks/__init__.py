"""Playbooks: a use case's gates, the controls that this deployment applies to it, and whether it may go on."""
