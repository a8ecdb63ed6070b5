"""Joint detection: what was handed in, and which own customers are in joint clusters."""

from __future__ import annotations

from tiergate.api.shared_leads import lead_id
from tiergate.console.origins import Origin, command
from tiergate.console.tables import Column, Link, Table
from tiergate.console.visits import View, Visit
from tiergate.response.leads import Lead
from tiergate.sharing.tokens.files import kept, kept_answer, kept_epochs

FOLDER = "joint"
"""Of the data folder: `--state` of `tiergate share lab`."""


def joint(visit: Visit) -> View:
    words, data = visit.renderer.words.sharing, visit.services.settings.data
    folder = data / FOLDER
    runs, clusters = [], []
    changes = visit.services.cases.desk.changes
    for epoch in kept_epochs(folder):
        prepared, answer = kept(folder, epoch), kept_answer(folder, epoch)
        if prepared is None:
            continue
        runs.append(
            {
                "epoch": epoch, "customers": len(prepared.sent.customers), "items": len(prepared.sent.holders),
                "bytes": len(prepared.rows), "labs": answer and answer.told.labs,
                "opened": answer and len(answer.told.items), "clusters": answer and len(answer.clusters),
                "keys": None if answer is None else Link(words.keys.agree, tone="good") if answer.told.keys_agree
                else Link(words.keys.differ, tone="bad"),
            }
        )  # fmt: skip
        for one in answer.clusters if answer else ():
            lead = changes.current(Lead, lead_id(data, f"joint_{one.cluster_id}"))
            clusters.append(
                {
                    "epoch": epoch, "cluster": one.cluster_id, "labs": one.labs, "all": one.customers_of_all,
                    "causes": ", ".join(one.causes), "customers": ", ".join(one.customers),
                    "here": None if lead is None else len(lead.accounts),
                }
            )  # fmt: skip
    handed = Table(
        name="runs",
        columns=[
            Column("epoch", words.columns.epoch),
            Column("customers", words.columns.nominated, "count"),
            Column("items", words.columns.items, "count"),
            Column("bytes", words.columns.bytes, "count"),
            Column("labs", words.columns.labs, "count"),
            Column("opened", words.columns.opened, "count"),
            Column("clusters", words.columns.clusters, "count"),
            Column("keys", words.columns.keys, "badge"),
        ],
        rows=runs,
        empty=words.no_runs,
    )
    found = Table(
        name="clusters",
        columns=[
            Column("epoch", words.columns.epoch),
            Column("cluster", words.columns.cluster, "code"),
            Column("labs", words.columns.labs, "count"),
            Column("all", words.columns.customers_of_all, "count"),
            Column("causes", words.columns.causes),
            Column("customers", words.columns.customers, "prose"),
            Column("here", words.columns.here, "count"),
        ],
        rows=clusters,
        empty=words.no_clusters,
    )
    state = f"{data.name}/{FOLDER}"
    lines = [
        command("share", "lab", "nominate", data.name, "--sketch-key", "group.key", "-o", "nominations.jsonl"),
        command("share", "lab", "send", "nominations.jsonl", "--lab", "lab.toml", "--state", state),
        command("share", "lab", "read", "--lab", "lab.toml", "--state", state),
    ]
    return {
        "tables": [handed, found], "handed": handed, "found": found, "lines": lines,
        "origin": Origin(command=lines[-1], note=words.joint.note),
    }  # fmt: skip
