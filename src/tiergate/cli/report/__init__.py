"""`report.html`: one file with every case, its figures and what was done, readable without a network."""

from tiergate.cli.report.write import Answer, Outcome, Truth, write_report

__all__ = ["Answer", "Outcome", "Truth", "write_report"]
