"""What can be called: models with their tiers, prices and access facts, and what has been claimed of them.

Every fact carries the day it held, where it was published and under which licence; `cited` refuses one that does not.
"""
