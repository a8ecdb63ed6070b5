"""The words of a dossier: facts in, sections out. Nothing here judges; it repeats what was found, and what that means.

Coordination is what detection shows. Distillation is what may be suspected of it, and is called a suspicion.
"""

from __future__ import annotations

from typing import Final

from tiergate.response.dossier.decided import decided
from tiergate.response.dossier.document import Document, Kind, Pairs, Section, Table, Text
from tiergate.response.dossier.facts import Facts
from tiergate.response.dossier.inferred import sure, weighed, worth
from tiergate.response.dossier.observed import accounts, observed, sample
from tiergate.response.dossier.words import counted, moment, whole

MOST_FILES: Final = 60


def compose(facts: Facts, author: str) -> Document:
    """The dossier of a case. ``author``: who has it written."""
    file = facts.record.file
    return Document(
        title="Case dossier",
        subtitle=file.case_id,
        foot=f"{file.case_id} · written {moment(facts.written_at_us)} UTC by {author}",
        sections=[
            _about(facts, author),
            observed(facts),
            accounts(facts),
            sure(facts),
            *(section for part in facts.parts for section in weighed(part, facts)),
            worth(facts),
            Section(title="What was done, by whom and why", kind=Kind.DECIDED, blocks=decided(facts)),
            sample(facts),
            _check(facts),
        ],
    )


def _about(facts: Facts, author: str) -> Section:
    file, found, asked = facts.record.file, facts.record.file.found, facts.asked
    opened = facts.record.history[0].author if facts.record.history else "unknown"
    policy = "the one that comes with this version" if facts.policy_is_ours else "the deployment's response.toml"
    status = file.status if file.outcome is None else f"{file.status}, {file.outcome}"
    return Section(
        title="What this is",
        kind=Kind.ABOUT,
        blocks=[
            Text(
                f"This dossier says why {counted(len(facts.accounts), 'account')} are held to act in coordination, "
                "how sure that is, what speaks against it, and what was done about it. Sections marked OBSERVED "
                "repeat what a log holds. Sections marked INFERRED are judgements from that, each with its "
                "probability. Sections marked DECIDED say who did what."
            ),
            Text(
                "Coordination is what the evidence shows, as surely as stated and no surer. That its purpose is "
                "distillation, the training of another model on the answers, is a suspicion: no log shows what for. "
                "Nothing here says who is behind the accounts, and where anybody comes from was not looked at.",
                note=True,
            ),
            Pairs(
                [
                    ("case", file.case_id),
                    ("status", str(status)),
                    ("opened", f"{moment(file.opened_at_us)} UTC by {opened}"),
                    ("rests on", f"look {found.look}, answer SHA-256 {found.digest}"),
                    (
                        "looked by",
                        f"tiergate {asked.tiergate}, seed {asked.seed}, {facts.decoys:,} shuffled copies",
                    ),
                    (
                        "sketch key",
                        f"{asked.key_id or 'none'} (its name; no text of a request is kept in what was read)",
                    ),
                    ("read", f"{facts.platform_exchanges:,} exchanges of {facts.platform_accounts:,} accounts"),
                    ("rows refused", whole(facts.refused)),
                    ("not in the input", ", ".join(facts.lacking) or "nothing that is looked for was missing"),
                    ("policy", f"{policy}, as it is now"),
                    ("written", f"{moment(facts.written_at_us)} UTC by {author}, tiergate {facts.version}"),
                ]
            ),
        ],
    )


def _check(facts: Facts) -> Section:
    found = facts.record.file.found
    return Section(
        title="How to check this",
        kind=Kind.ABOUT,
        blocks=[
            Text(
                "`tiergate case export` writes what the look read into one file, with other customers renamed; "
                "`tiergate case verify` runs detection on it again, anywhere, and says whether the same case comes "
                "out. The SHA-256 below is named by the case file and by every verdict that followed."
            ),
            Pairs(
                [
                    ("answer", found.digest),
                    *((part.case_id, part.digest) for part in facts.parts),
                    ("policy", "ours" if facts.policy_is_ours else facts.policy_sha256),
                ],
                code=True,
            ),
            Text(f"Files of the exchange log that were read, with their BLAKE2b hashes{_cut(len(facts.inputs))}:"),
            Table(
                head=["file", "BLAKE2b, 128 bits"],
                rows=[[name, digest] for name, digest in facts.inputs[-MOST_FILES:]],
                align="cc",
                widths=[3, 2],
                empty="none was sealed yet",
            ),
        ],
    )


def _cut(files: int) -> str:
    return f", the last {MOST_FILES} of {files:,}" if files > MOST_FILES else ""
