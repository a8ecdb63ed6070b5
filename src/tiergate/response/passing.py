"""Accounts that pass the check and go on as one: people are asked whether to limit them.

`verify` stops whoever will not be checked. A campaign can pass checks and pay for them, and is then as free as any
customer who did. That most of a case's accounts passed while it went on is no proof: those of a company that was taken
for a campaign would pass as well. So nothing is done by that alone, whatever the policy permits; a person decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tiergate.ledger.verdicts import Action
from tiergate.response.by_hand import LEAST_MEMBERSHIP
from tiergate.response.case_files import CaseFile, Found
from tiergate.response.ladder import Permitted
from tiergate.response.looks import Member

PASSED_SHARE: Final = 0.5
"""Share of a case's accounts that passed, from which people are asked."""


def passing(may: Permitted, file: CaseFile, found: Found, members: Iterable[Member], now_us: int) -> Permitted:
    """What a case permits, with `limit` proposed where at least `PASSED_SHARE` of its accounts were cleared up to
    `verify`, it has exchanges since its file was last brought up to date, and people set no ceiling."""
    decided = file.split_from is not None or (file.ceiling is not None and (file.ceiling_until_us or 0) > now_us)
    went_on = found.last_seen_us > file.found.last_seen_us
    if decided or not went_on or may.alone is not Action.VERIFY or may.inherited or may.proposed:
        return may
    own = {one.account_id for one in members if one.membership >= LEAST_MEMBERSHIP and one.inherits is None}
    passed = own & (file.cleared_at(now_us, Action.VERIFY) - file.cleared_at(now_us, Action.LIMIT))
    if not passed or len(passed) < PASSED_SHARE * len(own):
        return may
    why = f"{len(passed)} of {len(own)} accounts passed the check, and the case went on"
    return Permitted(may.alone, Action.LIMIT, why=why)
