"""A case dossier: what was observed, what is inferred, and what was done, for people who have to judge a case."""
