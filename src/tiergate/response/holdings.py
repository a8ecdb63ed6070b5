"""Which case each account of a look belongs to, after people merged cases and split others.

An account that a look puts into a lineage is of exactly one file. The way there starts at the lineage's own file and
goes to the case that the account was split off into, else to the case that the file was merged into, as long as there
is one. Merging never closes such a way into a ring (`merging`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from tiergate.response.case_files import CaseFile, Found
from tiergate.response.looks import Look, Member

Files = Mapping[str, CaseFile]


@dataclass(slots=True)
class Held:
    """What a look says of one file: the ``found`` of its own lineage, else of the surest that leads to it, and its
    members by account."""

    found: Found
    members: dict[str, Member] = field(default_factory=dict)


def owner_of(files: Files, lineage: str, account_id: str) -> str:
    """Name of the file that an account of a lineage belongs to; the lineage's own where there is none yet."""
    case_id = lineage
    while (file := files.get(case_id)) is not None:
        child = next((name for name, accounts in file.apart.items() if account_id in accounts), None)
        following = child or file.merged_into
        if following is None:
            break
        case_id = following
    return case_id


def holdings(look: Look, files: Files) -> dict[str, Held]:
    """Every file that a look says something of, also where it leaves it no member. Of an account in several lineages
    of a file counts the surest membership, and what all of them charge."""
    held: dict[str, Held] = {}
    for lineage in sorted(look.cases, key=lambda name: -look.cases[name][0].confidence):
        found, members = look.cases[lineage]
        for case_id in _reached(files, lineage):
            mine = held.setdefault(case_id, Held(found))
            if case_id == lineage:
                mine.found = found
        for one in members:
            mine = held[owner_of(files, lineage, one.account_id)]
            before = mine.members.get(one.account_id)
            if before is not None:
                membership = max(before.membership, one.membership)
                marks = tuple(dict.fromkeys((*before.marks, *one.marks)))
                one = replace(
                    one,
                    membership=membership,
                    charged=before.charged + one.charged,
                    marks=marks,
                    told=min(before.told, one.told),
                    taken=min(1.0, before.taken + one.taken),
                )
            mine.members[one.account_id] = one
    for case_id, mine in held.items():
        file = files.get(case_id)
        if file is not None and file.split_from is not None:
            mine.found = counted(mine.found, mine.members)
    return held


def sources_of(files: Files, case_id: str) -> set[str]:
    """Lineages whose accounts a file may have: its own, of those merged into it, and of what they were split off."""
    found, ahead = set[str](), [case_id]
    while ahead:
        one = ahead.pop()
        if one in found:
            continue
        found.add(one)
        file = files.get(one)
        if file is not None:
            ahead += [*file.merged, *([file.split_from] if file.split_from else [])]
    return found


def counted(found: Found, members: Mapping[str, Member]) -> Found:
    """What was found of a whole case, with the figures of these members alone."""
    charged = sum(one.charged for one in members.values())
    return msgspec.structs.replace(found, accounts=len(members), exchanges=charged)


def _reached(files: Files, lineage: str) -> list[str]:
    """Files that an account of a lineage may belong to."""
    reached, ahead, seen = [], [lineage], set[str]()
    while ahead:
        case_id = ahead.pop()
        if case_id in seen:
            continue
        seen.add(case_id)
        file = files.get(case_id)
        if file is None or file.merged_into is None:
            reached.append(case_id)
        if file is not None:
            ahead += [*file.apart, *([file.merged_into] if file.merged_into else [])]
    return reached
