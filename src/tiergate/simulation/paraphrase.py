"""The same instruction, worded anew each time: what a campaign does that has heard of template matching.

An instruction is a few clauses in any order; each clause has wordings, each wording has words to choose from (`[a|b]`).
Two of its several million wordings seldom share a run of five words, yet all draw on one vocabulary, as rewording by a
model does.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

import numpy as np

CLAUSES: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "chain_of_thought": (
        (
            "[work|think|reason|puzzle] [through|about|over] [this|what follows|the item] [carefully|slowly|at length]",
            "[here|below] [is|comes|stands] a [problem|question|riddle] [needing|wanting|calling for] [patience|care]",
            "[please|kindly|now] [solve|settle|crack] the [exercise|puzzle|task] [given|stated|quoted] [here|below]",
            "[treat|handle|approach] this [matter|item|case] [as|like] [an expert|an examiner|a tutor] [would|might]",
            "[your|the] [job|assignment|goal] [is|remains] to [resolve|answer|work out] [the quoted|the given] [item|one]",
            "[someone|a learner|a reader] [is stuck|struggles|got lost] [on|with|at] [the next|this] [problem|exercise]",
            "[find|derive|establish] [a sound|the correct|a proper] [answer|solution|result] [for|to] [this|what I quote]",
            "[consider|examine|study] [closely|with care|calmly] [what|everything] [I paste|is quoted|stands] [here|below]",
        ),
        (
            "[write out|show|lay out|spell out] [every|each] [step|stage|move] of [your|the] [reasoning|derivation]",
            "[the|your] [whole|full|entire] [train of thought|deliberation] [must|should] be [visible|written down]",
            "[never|do not|don't] [skip|omit|hide] [any|a single|one] [intermediate|middle|small] [step|inference]",
            "[document|record|narrate] how [you|one] [arrive|get|come] [at|to] [each|every] [conclusion|partial result]",
            "[let|make] me [see|follow|read] [all|the complete] [thinking|considerations] [behind|leading to] [it|that]",
            "[reveal|expose|present] [your|the] [inner|private|silent] [monologue|thoughts|notes] [verbatim|in full]",
            "[number|label|list] [the|your] [inferences|deductions|steps] [one by one|in sequence] [and|then] [explain|argue]",
            "[think|reason] [aloud|on paper|in the open], [sentence by sentence|line after line], [start|beginning] to end",
        ),
        (
            "[mention|list|discuss] [alternatives|other routes|options] [you|that you] [dropped|rejected|ruled out], [and why|with cause]",
            "[say|state|tell] [why|for what reason] [other|competing|rival] [approaches|ideas|answers] [fail|lose|fall short]",
            "[include|add|keep] [dead ends|wrong turns|discarded ideas] [with|plus] [the reason|the cause] [each failed|they died]",
            "[where|whenever] [you|one] [backtrack|hesitate|change course], [note|admit|report] [it|that] [and why|openly]",
            "[weigh|compare|rank] [at least two|several|two or more] [methods|routes|tactics] [before|prior to] [choosing|settling]",
            "[rejected|abandoned|failed] [hypotheses|attempts|guesses] [belong|stay|go] [in the text|on the page] [too|as well]",
            "[doubts|second thoughts|checks] [are|remain] [welcome|wanted|required], [also|even] [unresolved|minor|tentative] ones",
        ),
        (
            "[only then|at the end|finally] [give|state|print] [the|your] [answer|result|outcome], [alone|by itself]",
            "[close|finish|end] with [one|a single] [line|sentence] [that|which] [holds|carries|states] [the answer|the result]",
            "[the|your] [result|final answer|verdict] [comes|goes|stands] [last|at the very end|on the final line]",
            "[put|place|set] [the|your] [final|definitive] [value|answer] [after|below|beneath] [everything|all] [else|that]",
            "[wrap up|conclude|stop] [once|when] [the|a] [definite|checked] [answer|value] [is reached|stands], [marked|labelled] so",
            "[before|ahead of] [the answer|any result], [nothing|no step] [may|should] be [missing|left out|abridged]",
        ),
    ),
    "tool_use": (
        (
            "[decide|choose|pick] [which|what] [function|tool|utility] [serves|fits|answers] [this|the following|the quoted] [request|wish]",
            "[a user|somebody|a customer] [asks|wants|needs] [something|help|a favour]; [select|find] [the right|a proper] [tool|function]",
            "[plan|sketch|map out] [the|all] [invocations|tool calls] [that|which] [satisfy|fulfil|settle] [this|the quoted] [demand|wish]",
            "[you|an assistant] [operate|run|steer] [a small|a fixed] [set of|kit of] [functions|utilities]; [handle|serve] [this|the] [request|query]",
            "[translate|turn|convert] [what|whatever] [is asked|the person wants] into [function|tool] [calls|invocations]",
            "[for|regarding] [the message|the wish] [quoted|given] [here|below], [determine|settle] [whether|if] [and which|or what] [tool|function] [helps|applies]",
        ),
        (
            "[explain|argue|justify] [before|ahead of] [each|every] [call|invocation] [what|which thought] [led|moved|brought] you [there|to it]",
            "[write|put|keep] [your|the] [thoughts|considerations|reasoning] [next to|above|beside] [each|every] [call|invocation]",
            "[each|every] [choice|call|pick] [needs|gets|carries] [a|its] [rationale|reason|motive], [spelled out|in words|at length]",
            "[why|the reason] [this|that] [tool|function] [and|but] [no|not an] other: [tell|explain|argue] [it|that] [step by step|fully]",
            "[show|describe|trace] [the|your] [deliberation|decision path] [from|between] [wish|request] [to|and] [call|invocation]",
            "[arguments|parameters] [too|also] [need|deserve] [a|some] [derivation|justification], [value by value|one at a time]",
        ),
        (
            "[available|on hand|allowed] [are|remain] [search, calculator, calendar|web, maths, dates|lookup, sums, diary], [nothing|none] [else|more]",
            "[restrict|limit|confine] yourself to [search|lookup], [calculator|arithmetic] [and|or] [calendar|diary]",
            "[use|take|consider] [just|only|solely] [these three|this trio]: [web search|a lookup], [sums|a calculator], [a calendar|dates]",
            "[there is|you have|assume] [a searcher|a search box], [a calculating|an arithmetic] [helper|unit] [plus|and] [a diary|a calendar]",
            "[the|your] [toolbox|kit] [holds|contains|offers] [lookup|searching], [arithmetic|counting], [and also|besides] [scheduling|dates]",
        ),
        (
            "[output|return|emit] [the|all] [calls|invocations] as [JSON|a JSON list|json objects], [complete|in order]",
            "[the calls|all invocations] [belong|go|fit] [into|inside] [one|a single] JSON [array|document|block]",
            "[finish|close|end] [with|on] [valid|strict|parsable] JSON, [one object|an entry] [per|for each] [call|step]",
            "[format|encode|express] [every|each] [invocation|call] [in|using] JSON [with|including] [name and arguments|its parameters]",
            "JSON [is|stays] the [only|sole] [format|form] [accepted|allowed] [for|of] [the|those] [calls|results]",
        ),
    ),
    "coding": (
        (
            "[implement|program|code] [what|whatever] [the|this] [ticket|description|brief] [asks|demands|wants]",
            "[produce|deliver|supply] [working|complete|runnable] [code|source] [for|covering] [the|this] [task|feature] [quoted|given]",
            "[as|like] a [senior|seasoned|careful] [engineer|developer], [resolve|fix|close] [the|this] [issue|report] [here|below]",
            "[here|below] [is|follows] [an issue|a specification|a bug]; [solve|settle|repair] [it|this] [in code|properly|at its root]",
            "[edit|change|extend] [the|our] [repository|project|sources] [so that|until] [this|the quoted] [request|wish] [holds|is met]",
            "[turn|make] [the|this] [requirement|story] into [a patch|a program|a module] [that|which] [runs|compiles|passes]",
        ),
        (
            "[plan|outline|sketch] [the|your] [approach|design] [first|beforehand], [file by file|step by step|in detail]",
            "[narrate|explain|comment] [each|every] [edit|decision|change] [while|as] [you|we] [go|proceed|work]",
            "[show|describe] [which|what] [files|functions|places] [you|one] [inspected|read|opened] [and|plus] [what|why] [mattered|followed]",
            "[state|list|name] [assumptions|constraints|invariants] [you|that you] [rely on|found|keep], [explicitly|one by one]",
            "[walk|lead|guide] me [through|across] [the|your] [diagnosis|search], [wrong|failed] [turns|guesses] [included|too]",
        ),
        (
            "[add|write|supply] [tests|checks|assertions] [that|which] [fail|break] [before|without] [and pass after|the fix]",
            "[cover|test|exercise] [edge|corner|odd] cases, [empty|huge|malformed] [input|data] [included|too|as well]",
            "[each|every] [branch|path|behaviour] [needs|deserves|gets] [a|its own] [test|check], [named|labelled] [clearly|plainly]",
            "[prove|demonstrate|verify] [that|how] [it|the change] [works|holds] [by|with] [unit tests|a test run|examples]",
        ),
        (
            "[return|print|give] [only|just] [a diff|the full file|one block] [at the end|finally|to close]",
            "[no|without] [placeholders|stubs|ellipses]: [everything|all code] [must|has to] [run|compile|work] [as is|unchanged]",
            "[finish|close] [with|by] [complexity|trade-offs|remaining risks], [briefly|in short|plainly] [stated|put]",
            "[keep|leave] [unrelated|other|foreign] [code|lines|parts] [alone|untouched|as they were], [style|naming] [included|too]",
        ),
    ),
    "rubric_grading": (
        (
            "[act|serve|sit] as [a neutral|a fair|an impartial] [judge|grader|examiner] [of|over] [what follows|the text below]",
            "[grade|rate|mark] the [text|reply|response] [to|under] [this|the quoted] [question|prompt] [fairly|strictly|evenly]",
            "[how|just how] [good|convincing|sound] [is|seems] [this|the quoted] [piece|reply|answer]? [assess|appraise] [it|that]",
            "[an answer|a response|a text] [awaits|needs|requires] [your|a] [verdict|appraisal]; [be|stay] [strict|even-handed|sober]",
            "[evaluate|appraise|judge] [with|using] [an examiner's|a referee's] [eye|rigour] [what|the item] [stands|is quoted] [here|below]",
            "[you|an expert] [review|referee|correct] [submissions|answers|essays]; [this|the next] [one|item] [is|comes] [due|up]",
        ),
        (
            "[use|apply|take] [five|a set of five] [criteria|aspects] of [your own|your choice], [points|marks] [one|1] to ten",
            "[marks|points|grades] [run|range|go] [from|between] [one|1] [to|and] [ten|10], [five|5] [aspects|criteria] [in all|altogether]",
            "[devise|draft|set up] [a|your] [scoring|marking] [scheme|sheet] [with|of] [five|5] [rows|dimensions], [each|all] out of [ten|10]",
            "[split|break|divide] [quality|merit] into [five|5] [facets|parts], [each|every one] [worth|carrying] [ten|10] [points|marks]",
            "[accuracy|depth|clarity] and [four|4] [further|more|other] [facets|criteria] [earn|receive|get] [ten|10] [points|marks] [at most|each]",
        ),
        (
            "[justify|defend|explain] [each|every] [mark|number|figure] in [two|a couple of] [sentences|lines], [no more|concretely]",
            "[no|not a single] [mark|number] [without|lacking] [two sentences|a brief passage] of [reason|justification|grounds]",
            "[quote|cite|point to] [the|whichever] [words|passages|phrases] [that|which] [cost|won|lost] [points|marks]",
            "[behind|after|next to] [every|each] [number|figure] [comes|goes|stands] [its|the] [reason|ground], [briefly|in two lines]",
            "[reasons|grounds|arguments] [matter|count] [more|higher] than [numbers|totals]: [write|give] [two|a pair] [per|for each] [row|aspect]",
        ),
        (
            "[sum|add|tally] [up|everything] [to|into] a [total|final mark] [at the end|last|below]",
            "[conclude|close|finish] [with|on] [the|an] [overall|total|combined] [figure|mark|grade], [nothing|no text] after",
            "[one|a single] [closing|final|last] [line|row] [holds|carries|shows] [the sum|all together|the total]",
            "[what|the] [remains|total] [is|goes] [as|on] [a last|the bottom] [line|row]: [out of|of] fifty",
        ),
    ),
    "inline_thinking": (
        (
            "[before|ahead of|prior to] [answering|the reply|your answer], [put|place|write] [the complete|all] [reasoning|thinking] [in|inside|into] [<thinking> tags|<reasoning> tags|a thinking block]",
            "[your|the] [entire|whole|full] [deliberation|thought process] [goes|belongs] [first|up front], [between|within] [<think> marks|tags]",
            "[open|start|begin] [with|by] [a block|a section] [that|which] [holds|records] [every|each] [thought|consideration] [you|that you] [have|had]",
            "[show|print|keep] [unabridged|uncut|verbatim] [thoughts|notes|reasoning] [above|ahead of] [what|the text] [you|the user] [reply|sees]",
            "[wrap|enclose|frame] [whatever|all that] [you|one] [think|consider] [in|with] [tags|markers], [then|afterwards] [answer|respond]",
        ),
        (
            "[do not|never|don't] [shorten|summarise|compress] [it|this part|that], [however|no matter how] [long|tedious|messy] [it|this] [gets|is]",
            "[length|repetition|detail] [is|remains] [no|not a] [concern|problem|obstacle] [there|in that part]",
            "[plans|checks|doubts] [and|or] [corrections|retries] [stay|belong] [in|there] [too|as well|unedited]",
            "[the|a] [shortened|polished|cleaned] [version|account] [is|will be] [useless|worthless|rejected] [here|to me]",
        ),
    ),
}
"""Clauses of each instruction by what it is after."""

_OPENINGS: Final = ("", "", "", "Hi. ", "Right, ", "Next: ", "Another: ", "So, ", "Please note: ", "OK. ")
_LEADS: Final = ("", "", "Item: ", "Question: ", "<<< ", "Here: ", "Text: ", "### ", "--- ", "Input: ", "> ")

_PERSONA: Final = (
    ("I teach", "I study", "I write about", "I do research on", "I run a blog on", "I tutor", "I edit texts on"),
    (
        "school subjects",
        "engineering",
        "law",
        "medicine",
        "history",
        "logic",
        "small business",
        "data work",
        "languages",
    ),
    (
        "at a college",
        "in my spare time",
        "for a publisher",
        "with two colleagues",
        "near Leeds",
        "in Pune",
        "part-time",
    ),
    ("and prepare a course", "and collect examples", "and test myself", "and keep a notebook", "and help others"),
)

_SLOT: Final = re.compile(r"\[([^\]]*)\]")


def capability_of(template: str) -> str:
    """Which of the instructions a campaign template is nearest to."""
    text = template.lower()
    for capability, words in (
        ("tool_use", ("tool", "function call")),
        ("rubric_grading", ("score", "rubric", "grade")),
        ("coding", ("code", "program", "repository", "unit test")),
    ):
        if any(word in text for word in words):
            return capability
    return "chain_of_thought"


def reworded(rng: np.random.Generator, capability: str, count: int) -> list[str]:
    """``count`` wordings of one instruction, each with a place for ``{filling}`` before or after it."""
    clauses = _parsed(capability)
    order = rng.permuted(np.tile(np.arange(len(clauses)), (count, 1)), axis=1)
    # All random numbers at once: a call of numpy for each would cost more than the text does.
    wide = max(len(parts) for clause in clauses for parts in clause) + 1
    dice = rng.random((count, wide * len(clauses) + 3)).tolist()
    made = []
    for row, luck in zip(order.tolist(), dice, strict=True):
        said, at = [], 3
        for clause in row:
            options = clauses[clause]
            parts = options[int(luck[at] * len(options))]
            text = "".join([one[int(chance * len(one))] for one, chance in zip(parts, luck[at + 1 :], strict=False)])
            said.append(text[0].upper() + text[1:])
            at += wide
        opening, lead = _OPENINGS[int(luck[0] * len(_OPENINGS))], _LEADS[int(luck[1] * len(_LEADS))]
        filling = f"{lead}{{filling}}"
        instruction = f"{opening}{'. '.join(said)}."
        made.append(f"{filling}\n\n{instruction}" if luck[2] < 0.5 else f"{instruction}\n\n{filling}")
    return made


def persona(rng: np.random.Generator) -> str:
    """A line in which an account says who it is, to go before what it asks."""
    return " ".join(options[rng.integers(len(options))] for options in _PERSONA) + "."


@cache
def _parsed(capability: str) -> tuple[tuple[tuple[tuple[str, ...], ...], ...], ...]:
    """Clauses, their wordings, and the parts of each: what to choose from, plain text being a choice of one."""
    return tuple(
        tuple(
            tuple(
                tuple(piece.split("|")) if number % 2 else (piece,)
                for number, piece in enumerate(_SLOT.split(wording))
                if piece
            )
            for wording in clause
        )
        for clause in CLAUSES[capability]
    )
