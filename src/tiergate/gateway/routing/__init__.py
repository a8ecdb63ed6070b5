"""Routing among interchangeable models: who can answer a request, in which order they are asked, and for how long."""
