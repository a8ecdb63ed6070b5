"""What a request asks for, as bits: the capabilities that published campaigns went after.

Patterns are few and plain on purpose: an intent is weak evidence, weighed by how rare it is on the platform, and
its main use is to name what a case was harvesting. They follow the targets that providers disclosed in 2026
(written-out reasoning, rubric grading, tool use, agentic coding, generated tasks) in English and Chinese.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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
_CODING: Final = ("refactor", "pull request", "traceback", "compile", "repository", "codebase", "debug", "bug")
_LANGUAGES: Final = ("python", "javascript", "typescript", "rust", "java", "golang", "sql", "bash")

ALTERNATIVES: Final[tuple[tuple[tuple[str, str], ...], ...]] = (
    (
        ("step", r"step[ -]by[ -]step"),
        ("chain", r"chain[ -]of[ -]thought"),
        ("<think", r"<think"),
        ("reasoning ", r"reasoning (trace|steps|process)"),
        *((verb, verb + _THOUGHT) for verb in ("show", "write out", "explain", "detail")),
        *((f"{each} step", each + _OF_THOUGHT) for each in ("each", "every")),
        ("think ", r"think (aloud|out loud|carefully)"),
        ("inner monologue", r"inner monologue"),
        *((text, text) for text in ("逐步", "一步一步", "思维链", "推理过程", "思考过程")),
    ),
    (
        ("rubric", r"rubric"),
        *((f"{verb} ", verb + r" (the|this|each|both|following)") for verb in ("score", "rate", "grade")),
        ("on a scale ", r"on a scale (of|from)"),
        *((judge, r"as an? (impartial )?" + judge) for judge in ("judge", "grader")),
        *((text, text) for text in ("评分", "打分", "评判", "评价标准")),
    ),
    (
        *((verb, verb + _TASKS) for verb in ("generate", "create", "write", "come up with", "produce")),
        ("instruction", r"instruction[ -]tuning"),
        ("synthetic data", r"synthetic data"),
        ("生成", r"生成.{0,8}(任务|指令|问题|题目)"),
    ),
    (
        *((f"{verb} ", verb + _TOOL) for verb in ("call", "use", "invoke", "select")),
        ("function", r"function[ -]call"),
        ("tool", r"tool[ -](call|use)"),
        ("call", r"api[ -]call"),
        ("调用", r"调用.{0,6}(工具|函数|接口)"),
    ),
    (
        ("```", r"```"),
        *((word, rf"\b{word}\b") for word in _CODING),
        ("unit test", r"\bunit tests?\b"),
        ("stack", r"\bstack ?trace\b"),
        *((f"{language} ", rf"\b{language}" + _CODE) for language in _LANGUAGES),
        *((text, text) for text in ("代码", "重构", "编程")),
    ),
)
"""What asks for each capability: regular expressions in lower case that RE2 and Python read alike, each with an anchor:
a text that is in whatever the expression matches."""

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


def likely(data: bytes, starts: npt.NDArray[np.int64]) -> list[int]:
    """Which alternatives each text may match, as bits in their order in `ALTERNATIVES`; some too many, none too few.

    :param data: texts (n,) end to end in UTF-8, each beginning where ``starts`` says.
    """
    found = [_SHORT] * len(starts)
    if len(data) < GRAM:
        return found
    grams = np.ndarray((len(data) - GRAM + 1,), np.uint32, data.translate(_LOWER), strides=(1,))
    (places,) = _TELLING.take(_hashed(grams)).nonzero()
    rows = starts.searchsorted(places, side="right") - 1
    for row, gram in zip(rows.tolist(), grams[places].tolist(), strict=True):
        found[row] |= _GRAMS.get(gram, 0)
    return found


def asks(text: str, likely: int) -> int:
    """The bits of `intents` for one text, of which `likely` said what it may match."""
    if text.isascii():
        lower = text[:LIMIT_CHARACTERS].lower()
    elif any(character in text for character in _FOLDED):
        return int(intents(pa.array([text], pa.string()), pa.array([None], pa.string()))[0])
    else:
        lower = text[:LIMIT_CHARACTERS].encode().translate(_LOWER).decode()
    bits = 0
    while likely:
        number = likely.bit_length() - 1
        likely ^= 1 << number
        bit, anchor, search = _SEARCHES[number]
        # Looking for the anchor by itself is several times faster than by its expression, which mostly does not match.
        if not bits & bit and anchor in lower and search(lower):
            bits |= bit
    return bits


def _search(pattern: str) -> Callable[[str], object]:
    """A search that looks for the pattern's first word first, which Python's does not where a boundary is before it."""
    bounded = re.match(r"\\b([a-z]+)", pattern)
    if bounded is not None:
        pattern = rf"{bounded[1]}(?<!\w{bounded[1]}){pattern[bounded.end() :]}"
    return re.compile(pattern, re.ASCII).search


def _hashed(grams: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    hashed: npt.NDArray[np.uint32] = grams * _SPREAD
    hashed >>= _HALF
    return hashed


GRAM: Final = 4
_SPREAD: Final = np.array(0x9E3779B1, np.uint32)
_HALF: Final = np.array(16, np.uint32)
_FOLDED: Final = ("\u017f", "\u212a")  # RE2 takes them for s and k where case does not matter
_LOWER: Final = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in range(256))
_SEARCHES: Final = [
    (1 << bit, anchor, _search(pattern)) for bit, some in enumerate(ALTERNATIVES) for anchor, pattern in some
]
_ANCHORS: Final = [anchor.encode() for some in ALTERNATIVES for anchor, _ in some]
ANY: Final = (1 << len(_ANCHORS)) - 1
_SHORT: Final = sum(1 << number for number, anchor in enumerate(_ANCHORS) if len(anchor) < GRAM)
"""Alternatives that are always likely."""

_GRAMS: Final[dict[int, int]] = {}
"""Alternatives by the first four bytes of their anchors."""
for _number, _anchor in enumerate(_ANCHORS):
    _gram = int.from_bytes(_anchor[:GRAM], "little")
    _GRAMS[_gram] = _GRAMS.get(_gram, 0) | (1 << _number if len(_anchor) >= GRAM else 0)
_TELLING: Final = np.zeros(1 << 16, bool)
_TELLING[_hashed(np.array(list(_GRAMS), np.uint32))] = True


def capability(bits: npt.NDArray[np.integer[Any]]) -> tuple[str, float]:
    """The capability most asked for and the share of rows that ask for it; `general` when under a third do."""
    if not len(bits):
        return "general", 0.0
    shares = [float(np.mean((bits >> bit) & 1)) for bit in range(len(CAPABILITIES))]
    best = int(np.argmax(shares))
    return (CAPABILITIES[best], shares[best]) if shares[best] >= 1 / 3 else ("general", 1 - max(shares))
