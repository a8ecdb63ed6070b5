"""The first administrator: made by whoever sees the terminal in which the console was started, once."""

from __future__ import annotations

import hmac
import threading
from typing import Final

from tiergate.api.operators import Operator, Operators, Role
from tiergate.api.passwords import Passwords, fitting
from tiergate.api.problems import ProblemError
from tiergate.parties.tokens import new_token

KIND: Final = "tgf"
ROLES: Final = (Role.ADMINISTRATOR, Role.ANALYST, Role.APPROVER, Role.AUDITOR, Role.ENGINEER, Role.REVIEWER)
"""Of the first person: everything of the house. What needs two people still needs a second one."""


class FirstRun:
    """A token that is good as long as there is no operator of the house, and in this process alone."""

    def __init__(self, operators: Operators, passwords: Passwords) -> None:
        self._operators, self._passwords = operators, passwords
        self._lock = threading.Lock()
        self._token = new_token(KIND)

    @property
    def token(self) -> str | None:
        """What makes the first administrator; None once there is somebody."""
        if any(one.organisation_id is None and one.ended_at is None for one in self._operators.every()):
            return None
        return self._token

    def finish(self, token: str, name: str, password: str, now_us: int) -> Operator:
        """Make the first administrator. Raises `ProblemError` for a wrong token, or where somebody was first;
        `InputError` for a name or password that is none."""
        with self._lock:
            held = self.token
            if held is None:
                raise ProblemError(409, "somebody_is_here", "there is an operator already", "sign in, or ask them")
            if not hmac.compare_digest(held.encode(), token.encode()):
                raise ProblemError(
                    403, "wrong_token", "this is not the link of this start", "take the one that the terminal shows"
                )
            # Else there would be somebody, who cannot sign in, and this way would be closed.
            fitting(password)
            operator = self._operators.add(name, list(ROLES), None, now_us)
            self._passwords.set(operator.operator_id, password, now_us)
            return operator
