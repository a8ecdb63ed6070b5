"""What is it worth: what extraction costs, what a control buys, how far behind the open models are.

Reads `catalog` and nothing of a deployment but measured figures that are handed in.
"""
