"""A stand-in for a model provider: speaks the OpenAI and Anthropic APIs on loopback, streaming and not.

Answers are made up from a hash of the question, so that the same question gets the same answer. It is for
demonstrations and tests; it checks no key. Words in a request steer it: see `saying`. Run it with
``python -m tiergate.simulation.mock_upstream --port 0``: it prints one JSON line with its address.
"""
