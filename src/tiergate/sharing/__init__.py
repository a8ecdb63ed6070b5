"""Whom do we tell, and what: findings among peers, without a customer's name, a price or a count."""
