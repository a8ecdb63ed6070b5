"""Advice: requirements, rules, ranking, regret, records."""
