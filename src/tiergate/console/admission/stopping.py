"""What comes of suspending or ending a membership, revoking a grant, and withdrawing a purpose."""

from __future__ import annotations

from typing import Final

from tiergate.admission.grants import Grant, live
from tiergate.api.services import Services
from tiergate.console.acting import Consequence, Deed
from tiergate.console.admission.common import WORDS

LOOKED_AT: Final = 5_000


def foretell_stop(services: Services, deed: Deed, now_us: int) -> Consequence:
    """How many live grants rest on a membership."""
    membership = services.memberships.get(deed.path["membership_id"])
    found = services.changes.newest(Grant, most=LOOKED_AT, organisation_id=membership.organisation_id)
    resting = [one for one in live([one for _, one in found], now_us) if one.membership_id == membership.membership_id]
    more = WORDS.stopping.more if len(found) == LOOKED_AT else ""
    return Consequence(
        sentences=[WORDS("stopping.membership", organisation=membership.organisation_id,
                         programme=membership.programme_id, grants=f"{len(resting):,}{more}")]
    )  # fmt: skip


def foretell_revocation(services: Services, deed: Deed, _now_us: int) -> Consequence:
    """Whose access ends."""
    one = services.grants.get(deed.path["grant_id"])
    return Consequence(sentences=[WORDS("stopping.grant", holder=one.holder_id, model=one.model, project=one.project)])


def foretell_withdrawal(services: Services, deed: Deed, now_us: int) -> Consequence:
    """How many live grants are for a purpose."""
    one = services.purposes.get(deed.path["purpose_id"])
    found = services.changes.newest(Grant, most=LOOKED_AT, organisation_id=one.organisation_id)
    resting = [grant for grant in live([grant for _, grant in found], now_us) if grant.purpose_id == one.purpose_id]
    more = WORDS.stopping.more if len(found) == LOOKED_AT else ""
    return Consequence(sentences=[WORDS("stopping.purpose", code=one.code, grants=f"{len(resting):,}{more}")])


FORETOLD: Final = {
    "suspend": foretell_stop, "end_membership": foretell_stop, "revoke": foretell_revocation,
    "withdraw_purpose": foretell_withdrawal,
}  # fmt: skip
