"""API keys by account, without their secrets."""

from __future__ import annotations

from tiergate.api.operators import Permission
from tiergate.console.origins import Origin, command
from tiergate.console.tables import Column, Link, Table
from tiergate.console.visits import View, Visit

SIZE = 50
MOST = 1_000_000


def keys(visit: Visit) -> View:
    words, data = visit.renderer.words.gateway, visit.services.settings.data
    account = visit.asked("account")
    found = visit.services.registry.newest_keys(
        before=visit.place("before"), account_id=account, limit=MOST if visit.csv else SIZE
    )
    rows = []
    for _, one in found:
        live = one.revoked_at is None and one.account_status == "active"
        state = "revoked" if one.revoked_at is not None else one.account_status if not live else "live"
        rows.append(
            {
                "credential_id": one.credential_id,
                "account_id": Link(one.account_id, visit.here(account=one.account_id, before=None)),
                "organization_id": one.organization_id, "label": one.label, "issued_at": one.issued_at,
                "state": Link(words.key_states[state], tone="good" if live else "bad"), "live": one.revoked_at is None,
            }
        )  # fmt: skip
    columns = [
        Column("credential_id", words.columns.credential_id, "code"), Column("account_id", words.columns.account_id),
        Column("organization_id", words.columns.organization_id), Column("label", words.columns.label),
        Column("issued_at", words.columns.issued_at, "time"), Column("state", words.columns.state, "badge"),
    ]  # fmt: skip
    more = visit.here(before=found[-1][0]) if len(found) == SIZE else None
    table = Table(name="keys", columns=columns, rows=rows, next_page=more, empty=words.no_keys)
    return {
        "tables": [table], "table": table, "rows": rows, "account": account or "",
        "may_manage": visit.may(Permission.MANAGE_KEYS),
        "origin": Origin(api="GET /v1/keys", command=command("keys", "list", "--data", data)),
        "csrf": visit.session.csrf,
    }  # fmt: skip
