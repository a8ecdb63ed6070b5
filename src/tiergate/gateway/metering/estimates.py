"""Tokens from bytes, without a tokenizer: for answers whose tokens the upstream does not give, and to foresee them.

How many tokens a byte of text is depends on the model's tokenizer and on the script, so it is learnt for each model,
apart for texts that are mostly ASCII and others, from the exchanges that the upstream did count. Before the first one
it is the prior, which weighs as much as `PRIOR_BYTES` of text: a few exchanges outweigh it. docs/metering.md says how
far off it is.
"""

from __future__ import annotations

from typing import Final

from tiergate.gateway.metering.usage import LIKELY_IMAGE_TOKENS, Demand, Seen, Usage, counted

PLAIN: Final = 0.25
WIDE: Final = 0.4
"""Prior tokens a byte, of texts that are mostly ASCII and of others."""

LEAST_PLAIN: Final = 0.125
LEAST_WIDE: Final = 0.1
"""Never less than these. All callers of a model teach the same ratio: whoever sends much text of few tokens, such as
blanks, could else make their own cut streams next to free."""

PRIOR_BYTES: Final = 4_000
KEPT_BYTES: Final = 4_000_000
"""What was learnt from more text than this is halved, so that newer text counts for more."""

MOST_MODELS: Final = 10_000
"""Beyond so many, what was learnt is forgotten: where nothing is priced, callers may make names up."""

ANSWER_TOKENS: Final = 500
PRIOR_ANSWERS: Final = 10
KEPT_ANSWERS: Final = 2_000
"""The same for the tokens of an answer."""


class _Ratio:
    """Tokens per unit, seen and prior together."""

    __slots__ = ("_kept", "_least", "_tokens", "_units")

    def __init__(self, prior: float, weight: int, kept: int, least: float = 0.0) -> None:
        self._units, self._tokens, self._kept, self._least = float(weight), prior * weight, kept, least

    def learn(self, units: int, tokens: int) -> None:
        self._units += units
        self._tokens += tokens
        if self._units > self._kept:
            self._units, self._tokens = self._units / 2, self._tokens / 2

    def tokens(self, units: int) -> int:
        return int(units * max(self._least, self._tokens / self._units)) + 1 if units else 0


def _of_text() -> tuple[_Ratio, ...]:
    """Ratios by whether a text is wide."""
    pairs = ((PLAIN, LEAST_PLAIN), (WIDE, LEAST_WIDE))
    return tuple(_Ratio(prior, PRIOR_BYTES, KEPT_BYTES, least) for prior, least in pairs)


class _Learnt:
    """What is known of one model: ratios of text by whether it is wide, and tokens an answer."""

    __slots__ = ("answers", "asked", "said")

    def __init__(self) -> None:
        self.asked, self.said = _of_text(), _of_text()
        self.answers = _Ratio(ANSWER_TOKENS, PRIOR_ANSWERS, KEPT_ANSWERS)


class Estimator:
    """Estimates of one worker, in its memory: for as many models as are priced or routed to."""

    def __init__(self) -> None:
        self._models: dict[str, _Learnt] = {}

    def foresee(self, model: str, demand: Demand) -> int:
        """Tokens that a request is likely to use, in and out: what a limit on tokens sets aside for it."""
        answer = self._of(model).answers.tokens(1)
        if demand.max_output_tokens is not None:
            answer = min(answer, max(0, demand.max_output_tokens))
        return self.asked(model, demand) + answer * max(0, demand.choices)

    def asked(self, model: str, demand: Demand) -> int:
        """Tokens of a request."""
        ratio = self._of(model).asked[_is_wide(demand.input_bytes, demand.input_chars)]
        return min(ratio.tokens(demand.input_bytes), demand.input_bytes) + demand.images * LIKELY_IMAGE_TOKENS

    def said(self, model: str, seen: Seen) -> int:
        """Tokens of an answer's text: one an event at least, as nobody streams less than a token."""
        ratio = self._of(model).said[_is_wide(seen.text_bytes, seen.text_chars)]
        return max(seen.events, min(ratio.tokens(seen.text_bytes), seen.text_bytes))

    def usage(self, model: str, demand: Demand, seen: Seen) -> Usage:
        """What an exchange used. Counted where the answer is complete and the upstream gave both counts, which teaches
        the estimator; else estimated, and never less than the upstream counted until then."""
        asked, answered = counted(seen.input_tokens), counted(seen.output_tokens)
        complete = seen.complete and asked is not None and answered is not None
        if asked is None:
            asked = self.asked(model, demand)
        if complete and answered is not None:
            self._learn(model, demand, seen, asked, answered)
        else:
            answered = max(answered or 0, self.said(model, seen))
        return Usage(
            input_tokens=asked,
            output_tokens=answered,
            cached_input_tokens=counted(seen.cached_input_tokens) or 0,
            cache_write_tokens=counted(seen.cache_write_tokens) or 0,
            reasoning_tokens=counted(seen.reasoning_tokens) or 0,
            estimated=not complete,
        )

    def _learn(self, model: str, demand: Demand, seen: Seen, asked: int, answered: int) -> None:
        learnt = self._of(model)
        learnt.answers.learn(max(0, demand.choices), answered if demand.choices > 0 else 0)
        if not demand.images:
            learnt.asked[_is_wide(demand.input_bytes, demand.input_chars)].learn(demand.input_bytes, asked)
        shown = answered - (counted(seen.reasoning_tokens) or 0)
        if shown > 0 and seen.text_bytes:
            learnt.said[_is_wide(seen.text_bytes, seen.text_chars)].learn(seen.text_bytes, shown)

    def _of(self, model: str) -> _Learnt:
        learnt = self._models.get(model)
        if learnt is None:
            if len(self._models) >= MOST_MODELS:
                self._models.clear()
            learnt = self._models[model] = _Learnt()
        return learnt


def _is_wide(size: int, chars: int) -> bool:
    """Whether a text is one of many bytes a character: a twentieth of Chinese is enough."""
    return bool(chars) and size * 10 > chars * 11
