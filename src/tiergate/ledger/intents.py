"""What a request asks for, as bits: the capabilities that published campaigns went after.

Patterns are few and plain on purpose: an intent is weak evidence, weighed by how rare it is on the platform, and
its main use is to name what a case was harvesting. They follow the targets that providers disclosed in 2026
(written-out reasoning, rubric grading, tool use, agentic coding, generated tasks) in English and Chinese.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

CAPABILITIES: Final = (
    "chain_of_thought",
    "rubric_grading",
    "task_generation",
    "tool_use",
    "agentic_coding",
)
"""Name of each bit, from the lowest."""

_THOUGHT: Final = r" (all |every )?(your|the) (full |complete |detailed )?(reasoning|thinking|thought|rationale)"
_OF_THOUGHT: Final = r" step of (your|the) (reasoning|thinking|thought)"
_TASKS: Final = r" (\w+ ){0,4}(tasks|instructions|questions|problems|exercises|training (data|examples|samples))"
_TOOL: Final = r" (the |a |an |one of the )?(\w+ )?(tools?|functions?|apis?)\b"
_CODE: Final = r" (function|code|script|program|class|method)\b"
_CODING: Final = r"refactor|unit tests?|pull request|stack ?trace|traceback|compile|repository|codebase|debug|bug"
_LANGUAGES: Final = ("python", "javascript", "typescript", "rust", "java", "golang", "sql", "bash")

ALTERNATIVES: Final[tuple[tuple[tuple[str, str], ...], ...]] = (
    (
        ("step", r"step[ -]by[ -]step"),
        ("chain", r"chain[ -]of[ -]thought"),
        ("<think", r"<think"),
        ("reasoning", r"reasoning (trace|steps|process)"),
        *((verb.split()[0], verb + _THOUGHT) for verb in ("show", "write out", "explain", "detail")),
        *(("step", each + _OF_THOUGHT) for each in ("each", "every")),
        ("think", r"think (aloud|out loud|carefully)"),
        ("monologue", r"inner monologue"),
        *((text, text) for text in ("逐步", "一步一步", "思维链", "推理过程", "思考过程")),
    ),
    (
        ("rubric", r"rubric"),
        *((verb, verb + r" (the|this|each|both|following)") for verb in ("score", "rate", "grade")),
        ("scale", r"on a scale (of|from)"),
        *((judge, r"as an? (impartial )?" + judge) for judge in ("judge", "grader")),
        *((text, text) for text in ("评分", "打分", "评判", "评价标准")),
    ),
    (
        *((verb.split()[0], verb + _TASKS) for verb in ("generate", "create", "write", "come up with", "produce")),
        ("instruction", r"instruction[ -]tuning"),
        ("synthetic", r"synthetic data"),
        ("生成", r"生成.{0,8}(任务|指令|问题|题目)"),
    ),
    (
        *((verb, verb + _TOOL) for verb in ("call", "use", "invoke", "select")),
        ("function", r"function[ -]call"),
        ("tool", r"tool[ -](call|use)"),
        ("api", r"api[ -]call"),
        ("调用", r"调用.{0,6}(工具|函数|接口)"),
    ),
    (
        ("```", r"```"),
        *((word.split()[0], rf"\b{word}\b") for word in _CODING.split("|")),
        *((language, rf"\b{language}" + _CODE) for language in _LANGUAGES),
        *((text, text) for text in ("代码", "重构", "编程")),
    ),
)
"""What asks for each capability: regular expressions in lower case that RE2 and Python read alike, each with an anchor:
a text without white space that is in whatever the expression matches."""

LIMIT_CHARACTERS: Final = 8_192
"""How much of a text is looked at."""

_PATTERNS: Final = tuple("|".join(pattern for _, pattern in some) for some in ALTERNATIVES)


def intents(system: pa.StringArray, prompt: pa.StringArray) -> npt.NDArray[np.int64]:
    """Bits for each row, read from the system prompt (n,) and the user message (n,); 0 where both are null."""
    bits = np.zeros(len(prompt), np.int64)
    for text in (system, prompt):
        # System prompts repeat: match each distinct one once.
        encoded = pc.utf8_slice_codeunits(text, 0, LIMIT_CHARACTERS).dictionary_encode()
        known = np.asarray(encoded.indices.is_valid())
        index = np.asarray(encoded.indices.fill_null(0))
        for bit, pattern in enumerate(_PATTERNS):
            if not len(encoded.dictionary):
                continue
            found = pc.match_substring_regex(encoded.dictionary, pattern, ignore_case=True)
            bits |= np.where(known & np.asarray(found)[index], 1 << bit, 0)
    return bits


def capability(bits: npt.NDArray[np.integer[Any]]) -> tuple[str, float]:
    """The capability most asked for and the share of rows that ask for it; `general` when under a third do."""
    if not len(bits):
        return "general", 0.0
    shares = [float(np.mean((bits >> bit) & 1)) for bit in range(len(CAPABILITIES))]
    best = int(np.argmax(shares))
    return (CAPABILITIES[best], shares[best]) if shares[best] >= 1 / 3 else ("general", 1 - max(shares))
