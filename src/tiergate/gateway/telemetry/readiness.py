"""Whether this gateway should be sent requests, and if not, why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from tiergate.admission.epochs import STALE_AFTER_S

REASONS: Final = {
    "draining": "it was told to end",
    "facts_too_old": "changes of keys, verdicts and grants have not been heard of lately",
    "log_not_writable": "exchanges cannot be recorded, so none is answered",
}
"""Codes of what keeps a gateway from being ready."""

WARNINGS: Final = {
    "file_not_in_force": "a file was changed and is wrong: the one before it stays in force",
    "limits_not_kept": "limits cannot be written: requests that need a new share of one are refused",
    "decisions_not_recorded": "decisions cannot be recorded, so the classified tier refuses",
}
"""Codes of what does not."""


class Readiness:
    """What the parts of a gateway say of themselves, in one place.

    :param now_s: a clock that never goes back, in seconds.
    :param failures: by code, what says why a part fails now, None where it does not.
    """

    def __init__(
        self, now_s: Callable[[], float], failures: Mapping[str, Callable[[], str | None]] | None = None
    ) -> None:
        self._now_s, self._failures = now_s, failures or {}
        self.heard_s = now_s()
        """When the control database was last read, whatever it said."""
        self.draining = False
        self.complaints: dict[str, str | None] = {}
        """By file: why the one there now is not in force, None where it is."""

    @property
    def facts_age_s(self) -> float:
        """How old what is known of callers may be, in seconds."""
        return max(0.0, self._now_s() - self.heard_s)

    def reasons(self) -> dict[str, str]:
        """Why no requests should come, by code, with details for operators alone."""
        details = {
            "draining": "" if self.draining else None,
            "facts_too_old": f"for {self.facts_age_s:.0f} s" if self.facts_age_s > STALE_AFTER_S else None,
        }
        return _those_of(REASONS, details | self._now())

    def warnings(self) -> dict[str, str]:
        """What an operator should mend, by code, with details for operators alone."""
        wrong = [f"{file}: {complaint}" for file, complaint in self.complaints.items() if complaint is not None]
        return _those_of(WARNINGS, {"file_not_in_force": "; ".join(wrong) or None} | self._now())

    def told(self, *, details: bool = False) -> tuple[int, bytes]:
        """Status and body of an answer: 200, or 503 with the reasons. Whoever asks may know codes and their meaning;
        paths and messages are in ``details``."""
        reasons, warnings = self.reasons(), self.warnings()
        body = {
            "status": "not ready" if reasons else "ready",
            "reasons": _said(reasons, REASONS, details=details),
            "warnings": _said(warnings, WARNINGS, details=details),
        }
        return 503 if reasons else 200, msgspec.json.encode(body)

    def _now(self) -> dict[str, str | None]:
        return {code: failure() for code, failure in self._failures.items()}


def _those_of(codes: Mapping[str, str], details: Mapping[str, str | None]) -> dict[str, str]:
    return {code: detail for code in codes if (detail := details.get(code)) is not None}


def _said(found: dict[str, str], texts: dict[str, str], *, details: bool) -> list[dict[str, str]]:
    said = [{"code": code, "text": texts[code]} for code in found]
    if details:
        return [one | ({"detail": found[one["code"]]} if found[one["code"]] else {}) for one in said]
    return said
