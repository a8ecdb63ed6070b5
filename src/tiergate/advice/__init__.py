"""What an enterprise should use: which tier it needs, which models fit by which rules, and what if one vanishes."""
