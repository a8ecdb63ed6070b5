"""Tiergate: a self-hosted access-control plane for AI models."""

__version__ = "0.1.0"
