"""A customer contests a verdict on its account with its own API key: `POST` and `GET /v1/tiergate/appeals`.

A key that is suspended still says whose the account is. Each account has few tries an hour, one is worked on at a time,
and of one account's verdict in one case one appeal is open at most, so that appealing holds up nobody's answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
import sqlalchemy as sa

from tiergate.admission.appeals import Against, Appeal, Appeals, notice
from tiergate.admission.decision import INVALID_KEY
from tiergate.clock import HOUR, Clock
from tiergate.errors import InputError, LedgerError, StateError, TiergateError
from tiergate.gateway.admitting import Admission
from tiergate.gateway.callers import presented_key, spoken
from tiergate.gateway.replies import ClientGoneError, Receive, Scope, Send, fail, read_body, refuse, reply

PATH: Final = "/v1/tiergate/appeals"
MOST_BODY: Final = 64 << 10
MOST_AN_HOUR: Final = 20
"""Requests of one account, to each worker."""
MOST_SHOWN: Final = 100

_log = logging.getLogger(__name__)


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``verdict``: its id, as in the address of the notice; ``grounds``: what is wrong with it."""

    verdict: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    grounds: Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]


class Appealing:
    """Answers requests of `PATH`. ``appeals``: opens those of the deployment, by the policy of the moment."""

    def __init__(self, admission: Admission, clock: Clock, appeals: Callable[[], Appeals]) -> None:
        self._admission, self._clock, self._appeals = admission, clock, appeals
        self._one_at_a_time = asyncio.Lock()
        self._tries: Counter[str] = Counter()
        self._since_us = 0

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """File an appeal, or tell what became of the account's."""
        headers, dialect = dict(scope["headers"]), spoken(scope)
        credential = self._admission.live(presented_key(headers))
        if credential is None:
            await refuse(send, dialect, INVALID_KEY, None)
            return
        account = credential.account_id
        left_s = self._left_s(account)
        if left_s:
            told = f"{MOST_AN_HOUR} requests an hour are answered here; try again later"
            await fail(send, dialect, 429, "too_many_appeals", told, [(b"retry-after", str(left_s).encode())])
            return
        try:
            body = await read_body(receive, headers, MOST_BODY)
        except ClientGoneError:
            return
        if body is None:
            message = f"the request body is larger than {MOST_BODY} bytes"
            await fail(send, dialect, 413, "request_too_large", message, [(b"connection", b"close")])
            return
        try:
            async with self._one_at_a_time:
                if scope["method"] == "GET":
                    status, told_of = 200, await asyncio.to_thread(self._told, account)
                else:
                    asked = msgspec.json.decode(body, type=Asked)
                    status, told_of = 201, await asyncio.to_thread(self._file, account, asked)
        except StateError as error:
            status = 404 if error.code == "nothing_to_appeal" else 409
            await fail(send, dialect, status, error.code, str(error))
        except (InputError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            message = f'the body is to be {{"verdict": ..., "grounds": ...}}: {error}'
            await fail(send, dialect, 400, "invalid_request", message)
        except (TiergateError, sa.exc.SQLAlchemyError) as error:
            _log.error("an appeal could not be taken: %s", error)
            await fail(send, dialect, 503, "appeals_not_kept", "appeals cannot be taken right now; try again later")
        else:
            await reply(send, status, msgspec.json.encode(told_of))

    def _left_s(self, account_id: str) -> int:
        """Seconds until the account may ask again, 0 where it may now; counts this time."""
        now_us = self._clock.now_us()
        if not 0 <= now_us - self._since_us < HOUR:
            self._tries.clear()
            self._since_us = now_us
        self._tries[account_id] += 1
        if self._tries[account_id] <= MOST_AN_HOUR:
            return 0
        return max(1, (self._since_us + HOUR - now_us) // 1_000_000)

    def _file(self, account_id: str, asked: Asked) -> dict[str, Any]:
        verdict = self._admission.snapshot.notices.get(asked.verdict)
        if verdict is None or verdict.account_id != account_id:
            said = "no verdict on this account has that id: take the one in the address of the last refusal's notice"
            raise StateError(said, code="nothing_to_appeal")
        filed = self._opened().file(
            Against.VERDICT, asked.verdict, filed_by=account_id, grounds=asked.grounds, now_us=self._clock.now_us()
        )
        return self._view(filed)

    def _told(self, account_id: str) -> dict[str, Any]:
        mine = [one for one in self._opened().every() if one.account_id == account_id]
        newest = sorted(mine, key=lambda one: -one.filed_at_us)[:MOST_SHOWN]
        return {"appeals": [self._view(one) for one in newest]}

    def _opened(self) -> Appeals:
        try:
            return self._appeals()
        except InputError as error:
            # A policy that is wrong is nothing that an appellant can mend.
            raise LedgerError(str(error)) from error

    def _view(self, one: Appeal) -> dict[str, Any]:
        """What the appellant is told: neither who decided nor how sure anybody was."""
        return {
            "appeal": one.appeal_id,
            "verdict": one.subject_id,
            "filed": _moment(one.filed_at_us),
            "due": _moment(one.due_at_us),
            "outcome": None if one.outcome is None else one.outcome.value,
            "notice": notice(one, self._clock.now_us()),
        }


def _moment(time_us: int) -> str:
    return f"{datetime.fromtimestamp(time_us // 1_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}"
