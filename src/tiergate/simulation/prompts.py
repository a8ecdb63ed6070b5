"""Where a world's messages come from: the bundled grammar, or a file of the user's own."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tiergate.errors import InputError
from tiergate.simulation import grammar


class PromptSource(Protocol):
    """Messages by what they are for. ``subjects`` says how many subjects people can be given."""

    subjects: int
    agent_system: str
    public_templates: tuple[str, ...]
    campaign_templates: tuple[str, ...]

    def asking(self, rng: np.random.Generator, subject: int) -> str:
        """A person's message about a subject."""
        ...

    def code_task(self, rng: np.random.Generator, project: int) -> str:
        """A developer's message about a project."""
        ...

    def fillings(self, rng: np.random.Generator, count: int) -> list[str]:
        """What a campaign fills its template with: ``count`` entries, none twice."""
        ...


class GrammarPrompts:
    """Messages of `tiergate.simulation.grammar`."""

    subjects: int = grammar.FOCI * len(grammar.SUBJECTS)
    agent_system: str = grammar.AGENT_SYSTEM
    public_templates: tuple[str, ...] = grammar.PUBLIC_TEMPLATES
    campaign_templates: tuple[str, ...] = grammar.CAMPAIGN_TEMPLATES

    def asking(self, rng: np.random.Generator, subject: int) -> str:
        return grammar.asking(rng, subject)

    def code_task(self, rng: np.random.Generator, project: int) -> str:
        return grammar.code_task(rng, project)

    def fillings(self, rng: np.random.Generator, count: int) -> list[str]:
        made: dict[str, None] = {}
        while len(made) < count:
            made[grammar.asking(rng, int(rng.integers(self.subjects)))] = None
        return list(made)


class ListedPrompts(GrammarPrompts):
    """Messages of lists: people's by source, and what a campaign works through.

    What is not given comes from the grammar. A campaign's list that is too short is continued with pairs of its
    entries, which keeps entries distinct.
    """

    def __init__(
        self,
        by_subject: list[list[str]],
        *,
        code: list[list[str]] | None = None,
        campaign: list[str] | None = None,
        agent_system: str | None = None,
        public_templates: tuple[str, ...] | None = None,
    ) -> None:
        self.subjects = len(by_subject)
        self.agent_system = agent_system or grammar.AGENT_SYSTEM
        self.public_templates = public_templates or grammar.PUBLIC_TEMPLATES
        self._by_subject = by_subject
        self._code = code
        self._campaign = campaign

    def asking(self, rng: np.random.Generator, subject: int) -> str:
        mine = self._by_subject[subject % self.subjects]
        return mine[rng.integers(len(mine))]

    def code_task(self, rng: np.random.Generator, project: int) -> str:
        if not self._code:
            return super().code_task(rng, project)
        mine = self._code[project % len(self._code)]
        return mine[rng.integers(len(mine))]

    def fillings(self, rng: np.random.Generator, count: int) -> list[str]:
        if not self._campaign:
            return super().fillings(rng, count)
        entries = list(dict.fromkeys(self._campaign))
        made = dict.fromkeys(entries[i] for i in rng.permutation(len(entries))[:count])
        while len(made) < count:
            one, other = (entries[i] for i in rng.integers(len(entries), size=2))
            made[f"{one}\n\n{other}"] = None
        return list(made)


def read_prompts(path: Path) -> ListedPrompts:
    """Messages of a file: .txt (one a line), .jsonl or .parquet (column `prompt`; `source` makes subjects).

    Raises `InputError` when there is no such file or no message in it.
    """
    try:
        rows = _rows(path)
    except (OSError, pa.ArrowException, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read prompts from `{path}`: {str(error).splitlines()[0]}") from error
    subjects: dict[str, list[str]] = defaultdict(list)
    for number, row in enumerate(rows):
        # Without sources, runs of lines stand in for subjects: files are commonly in some order.
        subjects[row.get("source") or str(number * 12 // len(rows))].append(row["prompt"])
    if not subjects:
        raise InputError(f"`{path}` holds no prompt: expected lines of text, or a `prompt` column")
    listed = [prompts for _, prompts in sorted(subjects.items())]
    return ListedPrompts(listed, campaign=[prompt for prompts in listed for prompt in prompts])


def _rows(path: Path) -> list[dict[str, str]]:
    if path.suffix == ".parquet":
        names = [name for name in ("prompt", "source") if name in pq.read_schema(path).names]
        rows = pq.read_table(path, columns=names).to_pylist()
    elif path.suffix == ".jsonl":
        rows = [msgspec.json.decode(line) for line in path.read_bytes().splitlines() if line.strip()]
    elif path.suffix == ".txt":
        rows = [{"prompt": line} for line in path.read_text().splitlines()]
    else:
        raise InputError(f"`{path}` has no known ending: use .txt, .jsonl or .parquet")
    return [
        row for row in rows if isinstance(row, dict) and isinstance(row.get("prompt"), str) and row["prompt"].strip()
    ]
