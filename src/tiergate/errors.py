"""Every error that Tiergate raises on purpose.

::

    TiergateError              something the user can act on; the command line prints it without a traceback
      ├── InputError           a file, folder or value handed to us is not what it claims (exit code 2)
      ├── SettingsError        a setting is missing or contradicts another (exit code 2)
      ├── StateError           what is asked for does not fit how things stand; `code` names why (exit code 1)
      ├── LedgerError          a log cannot be written or read as it stands (exit code 1)
      │     └── ProofError     a proof, signature or record does not hold (exit code 1)
      └── UpstreamError        the model behind the gateway did not answer (HTTP 502, 503 or 504)

Messages start lower case, end without a full stop, put the user's own words in backticks and say what to do.
"""

from __future__ import annotations


class TiergateError(Exception):
    """Base of all errors with a message for the user. ``exit_code`` is what the command line ends with."""

    exit_code = 1


class InputError(TiergateError):
    """Input that is not what it claims to be."""

    exit_code = 2


class SettingsError(TiergateError):
    """A setting that is missing, malformed or contradicts another."""

    exit_code = 2


class StateError(TiergateError):
    """What is asked for does not fit how things stand. ``code`` names why, for programs."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class LedgerError(TiergateError):
    """A log cannot be written or read as it stands."""


class ProofError(LedgerError):
    """Something that was to be verified does not hold. ``index`` is the record it was found at, where one is known."""

    def __init__(self, message: str, *, index: int | None = None) -> None:
        super().__init__(message)
        self.index = index


class UpstreamError(TiergateError):
    """The upstream model did not answer as an API would. ``reached``: whether it may have got the request."""

    def __init__(self, message: str, *, status: int, reached: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.reached = reached
