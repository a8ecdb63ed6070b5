"""May they: facts in, a decision with its reason out."""
