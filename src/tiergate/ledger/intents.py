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

_PATTERNS: Final = (
    r"step[ -]by[ -]step|chain[ -]of[ -]thought|<think|reasoning (trace|steps|process)"
    r"|(show|write out|explain|detail) (all |every )?(your|the) (full |complete |detailed )?"
    r"(reasoning|thinking|thought|rationale)"
    r"|(each|every) step of (your|the) (reasoning|thinking|thought)"
    r"|think (aloud|out loud|carefully)|inner monologue|逐步|一步一步|思维链|推理过程|思考过程",
    r"rubric|(score|rate|grade) (the|this|each|both|following)|on a scale (of|from)|as an? (impartial )?(judge|grader)"
    r"|评分|打分|评判|评价标准",
    r"(generate|create|write|come up with|produce) (\w+ ){0,4}"
    r"(tasks|instructions|questions|problems|exercises|training (data|examples|samples))"
    r"|instruction[ -]tuning|synthetic data|生成.{0,8}(任务|指令|问题|题目)",
    r"(call|use|invoke|select) (the |a |an |one of the )?(\w+ )?(tools?|functions?|apis?)\b|function[ -]call"
    r"|tool[ -](call|use)|api[ -]call|调用.{0,6}(工具|函数|接口)",
    r"```|\b(refactor|unit tests?|pull request|stack ?trace|traceback|compile|repository|codebase|debug|bug)\b"
    r"|\b(python|javascript|typescript|rust|java|golang|sql|bash) (function|code|script|program|class|method)\b"
    r"|代码|重构|编程",
)


def intents(system: pa.StringArray, prompt: pa.StringArray) -> npt.NDArray[np.int64]:
    """Bits for each row, read from the system prompt (n,) and the user message (n,); 0 where both are null."""
    bits = np.zeros(len(prompt), np.int64)
    for text in (system, prompt):
        # System prompts repeat: match each distinct one once.
        encoded = pc.utf8_slice_codeunits(text, 0, 8_192).dictionary_encode()
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
