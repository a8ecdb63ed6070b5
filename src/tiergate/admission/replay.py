"""A decision of the log made again: from the facts it was made from, by the policies it was made by.

The writer keeps the facts as the personal field `FACTS`, without their time, which is the record's: so the same facts
have the same text however often they are judged. A replay says two things apart: what the policies of the record say,
which must be the outcome and the reasons on record, and what the policies of today would say.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from tiergate.admission.engine import Engine, Outcome, Reason
from tiergate.admission.explain import about, would_settle
from tiergate.admission.facts import closest_grant, unchanged_between
from tiergate.admission.kept_policies import Engines
from tiergate.admission.known_facts import ModelFact, RequestFact, Standing
from tiergate.errors import ProofError
from tiergate.ledger.decision_reader import DecisionReader, Kept, scan_kept
from tiergate.ledger.decision_records import FACTS
from tiergate.ledger.decision_records import Outcome as RecordedOutcome
from tiergate.ledger.notes import PublicKey

CAPACITY: Final = 262_144
"""Answers that are kept for facts that come again; some 0.4 KB each."""
AFRESH_EVERY: Final = 50
"""Of answers that are kept already, one in so many is made anew all the same."""
WHO: Final = ("organisation", "person", "workload", "credential", "model")
"""Personal fields that say whose decision it is, and about what."""
RECORDED: Final[dict[Outcome, RecordedOutcome]] = {
    Outcome.ALLOW: "ALLOW",
    Outcome.DENY: "DENY",
    Outcome.REVIEW: "REVIEW",
}


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the policies judged. On record ``request.now_us`` is 0: the time is the record's."""

    standing: Standing
    model: ModelFact
    request: RequestFact


class Said(msgspec.Struct, frozen=True):
    """What policies say: the outcome, and every reason's code in the order of the policies."""

    outcome: RecordedOutcome
    reasons: list[str]


class State(enum.StrEnum):
    """How a replay came out. ``SAME``: the outcome and reasons on record, by the policies of the record."""

    SAME = "same"
    DIFFERENT = "different"
    FACTS_NOT_KEPT = "facts_not_kept"
    FACTS_ERASED = "facts_erased"
    POLICIES_NOT_KEPT = "policies_not_kept"


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """A decision made again.

    ``policy`` and ``policy_today`` are digests. ``replayed`` is what the policies of the record say, ``today`` what
    today's do, None where that cannot be told. ``flips``: other policies are in force today, and they say otherwise.
    ``signed``: a checkpoint covers the record. ``who`` is told of a decision that flips or is different.
    """

    decision_id: str
    state: State
    signed: bool
    policy: str
    policy_today: str
    recorded: Said
    replayed: Said | None = None
    today: Said | None = None
    flips: bool = False
    who: dict[str, str] = {}


def facts_text(standing: Standing, model: ModelFact, request: RequestFact) -> str:
    """Facts as they are recorded, the same text for the same facts."""
    timeless = msgspec.structs.replace(request, now_us=0)
    return _encode(Facts(standing=standing, model=model, request=timeless)).decode()


def read_facts(value: bytes, time_us: int) -> Facts:
    """Facts from the canonical JSON of their field and the record's time. Raises `ProofError` when they are none."""
    try:
        facts = _decode(_decode_text(value))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProofError(f"the facts are not of a form that this version knows: {error}") from error
    return msgspec.structs.replace(facts, request=msgspec.structs.replace(facts.request, now_us=time_us))


def reasons_of(kept: Kept, engines: Engines) -> list[Reason]:
    """The gates that a decision failed, in words: those of its own policies if they are kept, else of today's, without
    codes that these have not. ``about`` is empty where the facts are not kept."""
    gates = (engines.of(kept.record.policy) or engines.today).by_code
    facts = facts_of_record(kept)

    def reason(code: str) -> Reason:
        if facts is None:
            return Reason(gate=gates[code], about=())
        standing, model = facts.standing, facts.model
        grant = closest_grant(standing, model, facts.request)
        of = about(code, standing, model, facts.request, grant)
        return Reason(gate=gates[code], about=of, would_settle=would_settle(code, standing, model))

    return [reason(code) for code in kept.record.reasons if code in gates]


def facts_of_record(kept: Kept) -> Facts | None:
    """What the policies judged, None where it is not kept. Raises `ProofError` for what is no facts."""
    value = _facts_of(kept)
    return None if value is None else read_facts(value, kept.record.time_us)


class _Answer(NamedTuple):
    """What policies say of facts at any time from ``since_us`` until ``until_us``."""

    since_us: int
    until_us: int
    said: Said


class Replayer:
    """Makes decisions again. Facts that come again are answered as before, as long as no time of theirs has passed.

    ``afresh_every``: one in so many of those is judged anew all the same; 1 judges each. For one thread.
    """

    def __init__(self, engines: Engines, *, afresh_every: int = AFRESH_EVERY) -> None:
        self._engines = engines
        self._afresh_every = afresh_every
        self._answers: dict[tuple[str, bytes], _Answer] = {}
        self._asked = 0
        self.evaluated = 0
        """How often policies were evaluated."""

    def replay(self, decision_id: str, kept: Kept) -> Replayed:
        """Make one decision again. Raises `ProofError` where what is kept for it is not what it was made from."""
        record, today = kept.record, self._engines.today
        recorded = Said(record.outcome, record.reasons)

        def replayed(state: State, by_its_own: Said | None = None, by_todays: Said | None = None) -> Replayed:
            flips = by_todays is not None and record.policy != today.digest and by_todays != recorded
            return Replayed(
                decision_id=decision_id, state=state, signed=kept.signed, policy=record.policy,
                policy_today=today.digest, recorded=recorded, replayed=by_its_own, today=by_todays, flips=flips,
                who=_who(kept) if flips or state is State.DIFFERENT else {},
            )  # fmt: skip

        value = _facts_of(kept)
        if value is None:
            return replayed(State.FACTS_ERASED if FACTS in record.commitments else State.FACTS_NOT_KEPT)
        by_todays = self._say(today, value, record.time_us)
        engine = self._engines.of(record.policy)
        if engine is None:
            return replayed(State.POLICIES_NOT_KEPT, None, by_todays)
        said = by_todays if engine is today else self._say(engine, value, record.time_us)
        return replayed(State.SAME if said == recorded else State.DIFFERENT, said, by_todays)

    def _say(self, engine: Engine, value: bytes, time_us: int) -> Said:
        key = engine.digest, blake2b(value, digest_size=32).digest()
        known = self._answers.get(key)
        if known is not None and known.since_us <= time_us < known.until_us:
            self._asked += 1
            if self._asked % self._afresh_every:
                return known.said
        facts = read_facts(value, time_us)
        decision = engine.decide(facts.standing, facts.model, facts.request)
        self.evaluated += 1
        said = Said(RECORDED[decision.outcome], [reason.code for reason in decision.reasons])
        if known is None and len(self._answers) >= CAPACITY:
            del self._answers[next(iter(self._answers))]
        self._answers[key] = _Answer(*unchanged_between(facts.standing, time_us), said)
        return said


def replay_log(
    log: DecisionReader, prefix: str, replayer: Replayer, *, key: PublicKey | None = None
) -> Iterator[Replayed]:
    """Every decision of a log in order, made again, while records, tree and personal values are checked.

    :param prefix: what ids of this log's decisions begin with.
    :param key: the log's; its last checkpoint is then verified.
    Raises `ProofError` where the log does not hold, with the index of the record where one is known.
    """
    for kept in scan_kept(log, key=key):
        try:
            replayed = replayer.replay(f"{prefix}{kept.index}", kept)
        except ProofError as error:
            raise ProofError(f"record {kept.index}: {error}", index=kept.index) from error
        yield replayed


_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_decode: Final = msgspec.json.Decoder(Facts).decode
_decode_text: Final = msgspec.json.Decoder(str).decode


def _facts_of(kept: Kept) -> bytes | None:
    return next((one.value for one in kept.openings if one.field == FACTS), None)


def _who(kept: Kept) -> dict[str, str]:
    return {one.field: str(msgspec.json.decode(one.value)) for one in kept.openings if one.field in WHO}
