"""Joint clusters as signals to response: own customers in them, by their accounts."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tiergate.api.shared_leads import lead_id
from tiergate.errors import InputError
from tiergate.parties.registry import Registry
from tiergate.response.leads import Signal
from tiergate.sharing.tokens.lab import JointCluster


class _Read(msgspec.Struct):
    clusters: list[JointCluster]


def signals_of(path: Path, data: Path, registry: Registry) -> list[Signal]:
    """Clusters in a file of `tiergate share lab read --json`. A customer is an organisation of ``registry``, with all
    its accounts, else an account itself. Raises `InputError` for a file that is none."""
    try:
        read = msgspec.json.decode(path.read_bytes(), type=_Read)
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"`{path}` is not what `tiergate share lab read --json` prints: {error}") from error
    accounts = registry.accounts_table().select(["account_id", "organization_id"]).to_pylist()
    owned: dict[str, set[str]] = {}
    for row in accounts:
        owned.setdefault(row["organization_id"] or row["account_id"], set()).add(row["account_id"])
    return [
        Signal(
            lead_id=lead_id(data, f"joint_{one.cluster_id}"),
            source=f"joint_{one.cluster_id}, a joint cluster of {one.labs} labs",
            maker="labs together",
            named=None,
            accounts={
                account: " and ".join(one.causes)
                for customer in one.customers
                for account in sorted(owned.get(customer, ()))
            },
        )
        for one in read.clusters
    ]
