"""The same instruction, worded anew each time: what a campaign does that has heard of template matching.

An instruction is four clauses in any order; each clause has wordings, each wording has words to choose from. Several
million wordings of one instruction share hardly a run of five words, yet all draw on one vocabulary, as rewording by
a model does.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

_SLOT: Final = re.compile(r"\[([^\]]*)\]")

CLAUSES: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "chain_of_thought": (
        (
            "[work|think|reason] [through|about] [this|what follows] [carefully|slowly|in detail]",
            "[here is|below is] a [problem|question|task] that [needs|wants|asks for] [careful|patient] thought",
            "[please solve|try to solve|find an answer to] the [problem|exercise] [given|stated|posed] [here|below]",
            "[treat|handle|approach] the [matter|item|case] [below|at hand] as an [expert|examiner|analyst] would",
        ),
        (
            "[write out|show|lay out|spell out] [every|each] step of your [reasoning|thinking|derivation]",
            "[your|the] [whole|full|entire] [reasoning|train of thought] must be [visible|written down|on the page]",
            "[do not|never] skip [any|a single] [intermediate|middle] [step|inference], [however|no matter how] small",
            "[document|record|narrate] how you [arrive|get] [at|to] [each|every] [conclusion|partial result]",
        ),
        (
            "[mention|list|discuss] the [alternatives|other routes|options] you [dropped|rejected|ruled out] and why",
            "say [why|for what reason] [other|competing] [approaches|ideas|answers] [fail|lose|fall short]",
            "[include|add] [dead ends|wrong turns|discarded ideas] with the [reason|cause] they [failed|were dropped]",
        ),
        (
            "[only then|at the end|finally] [give|state|print] the [answer|result|outcome]",
            "[close|finish|end] with [one|a single] [line|sentence] that [holds|carries|states] the [answer|result]",
            "the [result|final answer] [comes|goes] [last|at the very end]",
        ),
    ),
    "tool_use": (
        (
            "[decide|choose|pick] which [function|tool] [serves|fits|answers] [this|the following] [request|wish]",
            "[a user|somebody|a customer] [asks|wants] [something|help]; [select|find] the [right|proper] tool",
        ),
        (
            "[explain|argue|justify] [before each call|step by step] what [made you|led you to] [call|choose] it",
            "[write|put] your [thoughts|considerations|reasoning] [ahead of|before] [each|every] [call|invocation]",
        ),
        (
            "[available are|you may use] [search, calculator, calendar|web, maths, dates|lookup, sums, diary]",
            "[restrict|limit] yourself to [search|lookup], [calculator|arithmetic] and [calendar|diary]",
        ),
        (
            "[output|return|emit] the calls as [JSON|a JSON list|json objects]",
            "[the calls|all invocations] [belong|go] into [one|a single] JSON [array|document]",
        ),
    ),
    "rubric_grading": (
        (
            "[act|serve] as a [neutral|fair|impartial] [judge|grader|examiner] of [what follows|the answer below]",
            "[grade|rate|score] the [text|reply|answer] to [this|the] question [fairly|strictly|evenly]",
        ),
        (
            "[use|apply] [five|a set of five] criteria of [your own|your choice], [points|marks] from [1|one] to ten",
            "[marks|points] run from [one|1] to [ten|10] on [each of five|every one of five] [criteria|aspects]",
        ),
        (
            "[justify|defend|explain] [each|every] [mark|score] in [two|a couple of] sentences",
            "[no|not a single] [mark|score] without [two sentences of|a brief] [reason|justification]",
        ),
        (
            "[sum|add] [up|together] to a [total|final mark] [at the end|last]",
            "[conclude|close] with the [overall|total] [score|mark]",
        ),
    ),
}


def capability_of(template: str) -> str:
    """Which of the instructions a campaign template is nearest to."""
    text = template.lower()
    if "tool" in text:
        return "tool_use"
    return "rubric_grading" if "score" in text or "rubric" in text else "chain_of_thought"


def reworded(rng: np.random.Generator, capability: str, count: int) -> list[str]:
    """``count`` wordings of one instruction, each with a place for ``{filling}`` at a random end."""
    clauses = CLAUSES[capability]
    order = rng.permuted(np.tile(np.arange(len(clauses)), (count, 1)), axis=1)
    # Enough random numbers for every choice of a wording at once: calls on numpy cost more than the text does.
    dice = rng.random((count, 4 * len(clauses) * 4)).tolist()
    ends = (rng.random(count) < 0.5).tolist()
    made = []
    for row, mine, first in zip(order.tolist(), dice, ends, strict=True):
        luck = iter(mine)
        said = []
        for clause in row:
            options = clauses[clause]
            wording = options[int(next(luck) * len(options))]
            said.append(_SLOT.sub(lambda slot: _one_of(slot[1], next(luck)), wording))  # noqa: B023
        text = ". ".join(one[0].upper() + one[1:] for one in said) + "."
        made.append(f"{{filling}}\n{text}" if first else f"{text}\n{{filling}}")
    return made


def _one_of(options: str, luck: float) -> str:
    listed = options.split("|")
    return listed[int(luck * len(listed))]
