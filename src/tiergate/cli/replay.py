"""`tiergate decisions replay`: past decisions made again, by the policies of then and by those of today."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tiergate.cli.decision_options import Data, Json, Key, public_key
from tiergate.cli.terminal import counted, note, progress, say, say_json
from tiergate.errors import InputError, ProofError

if TYPE_CHECKING:
    from tiergate.admission.replay import Replayed, Replayer, Said
    from tiergate.ledger.decision_logs import LogPlace
    from tiergate.ledger.decision_reader import DecisionReader

MOST_LISTED: Final = 1_000
"""Decisions that are different, and that flip, each: all are counted, and so many of them are listed in JSON."""
MOST_SHOWN: Final = 20


def replay(
    decision_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="A decision, such as 17 or worker-2/17.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All decisions of all logs, verified as they are read.")] = False,
    afresh_every: Annotated[
        int, typer.Option(metavar="N", min=1, help="Judge one in N facts that come again anew; 1 judges all.")
    ] = 50,
    data: Data = Path("data"),
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Make past decisions again from the facts they were made from. Exit code 1 if one comes out otherwise.

    It says apart what the policies of today would say, where they are other than those of the record.

    \b
    Example:
      tiergate decisions replay worker-2/17
      tiergate decisions replay --all --json > replay.json
    """
    if every == (decision_id is not None):
        raise InputError("say what to replay: the id of a decision, or --all")
    try:
        if decision_id is None:
            different = _replay_all(data, key, afresh_every, as_json)
        else:
            different = _replay_one(data, decision_id, key, as_json)
    except ProofError as error:
        if as_json:
            say_json({"error": str(error), "record": error.index})
            raise typer.Exit(ProofError.exit_code) from error
        raise
    if different:
        raise typer.Exit(1)


def _replay_one(data: Path, decision_id: str, key: str | None, as_json: bool) -> bool:
    import msgspec

    from tiergate.admission.engine import Engine
    from tiergate.admission.kept_policies import Engines
    from tiergate.admission.replay import Replayer, State
    from tiergate.ledger.decision_logs import find_decision
    from tiergate.ledger.decision_reader import DecisionReader

    place, index = find_decision(data, decision_id)
    with closing(DecisionReader(place.folder)) as reader:
        kept = reader.checked(index, key=public_key(data, key, reader.origin))
        one = Replayer(Engines(place.folder, Engine())).replay(decision_id, kept)
    if as_json:
        say_json(msgspec.to_builtins(one))
    else:
        say(f"{decision_id}: {_STATES[one.state]}")
        say(f"recorded: {_told(one.recorded)}, by the policies {one.policy[:12]}")
        if one.replayed is not None:
            say(f"replayed: {_told(one.replayed)}")
        if one.today is not None and one.policy != one.policy_today:
            say(f"today:    {_told(one.today)}, by the policies {one.policy_today[:12]}")
        if not one.signed:
            note("no checkpoint covers the record yet")
    return one.state == State.DIFFERENT


def _replay_all(data: Path, key: str | None, afresh_every: int, as_json: bool) -> bool:
    from tiergate.admission.engine import Engine
    from tiergate.admission.kept_policies import Engines
    from tiergate.admission.replay import Replayer
    from tiergate.ledger.decision_logs import logs_of
    from tiergate.ledger.decision_reader import DecisionReader

    today = Engine()
    tally = _Tally(today.digest)
    with ExitStack() as stack:
        logs = [(place, stack.enter_context(closing(DecisionReader(place.folder)))) for place in logs_of(data)]
        total = max(sum(reader.size for _, reader in logs), 1)
        advance = stack.enter_context(progress("replaying decisions"))
        try:
            for place, reader in logs:
                replayer = Replayer(Engines(place.folder, today), afresh_every=afresh_every)
                public = public_key(data, key, reader.origin)
                if public is None:
                    tally.unverified.append(reader.origin)
                _replay_log(reader, place, replayer, public, tally, lambda: advance("", tally.decisions / total))
            tally.complete = True
        finally:
            # What was found so far is also worth having where somebody interrupts.
            tally.say(as_json)
    return tally.different > 0 or bool(tally.damaged)


def _replay_log(
    reader: DecisionReader, place: LogPlace, replayer: Replayer, public: Any, tally: _Tally, advance: Callable[[], None]
) -> None:
    from tiergate.admission.replay import replay_log

    try:
        for one in replay_log(reader, place.prefix, replayer, key=public):
            tally.add(one)
            if not tally.decisions % 4_096:
                advance()
    except ProofError as error:
        # The other logs are still worth looking at.
        tally.damaged.append({"log": reader.origin, "error": str(error), "record": error.index})
    tally.logs += 1
    tally.evaluated += replayer.evaluated


class _Tally:
    """What a replay of logs has come to so far."""

    def __init__(self, policy_today: str) -> None:
        self.policy_today = policy_today
        self.complete = False
        self.logs = self.decisions = self.evaluated = self.different = self.flips = 0
        self.states: Counter[str] = Counter()
        self.policies: Counter[str] = Counter()
        self.credentials: set[str] = set()
        self.listed: dict[str, list[Replayed]] = {"different": [], "flips": []}
        self.damaged: list[dict[str, Any]] = []
        self.unverified: list[str] = []

    def add(self, one: Replayed) -> None:
        self.decisions += 1
        self.states[one.state.value] += 1
        self.policies[one.policy] += 1
        if one.state == "different":
            self.different += 1
            self._list("different", one)
        if one.flips:
            self.flips += 1
            self.credentials.add(one.who.get("credential", ""))
            self._list("flips", one)

    def say(self, as_json: bool) -> None:
        if as_json:
            self._say_json()
            return
        whole = "" if self.complete else ", and was interrupted"
        say(f"replayed {counted(self.decisions, 'decision')} of {counted(self.logs, 'log')}{whole}")
        for state, words in _STATES.items():
            if self.states[state]:
                say(f"  {self.states[state]:,} {words}")
        for damage in self.damaged:
            say(f"{damage['log']} does not hold, and was read up to there: {damage['error']}")
        self._show("different")
        if set(self.policies) - {self.policy_today}:
            say(
                f"by today's policies {counted(self.flips, 'decision')} of {counted(len(self.credentials), 'key')} "
                "would come out otherwise"
            )
            self._show("flips")
        if self.unverified:
            note(f"signatures were not checked of {', '.join(self.unverified)}: give the log's public key with --key")

    def _say_json(self) -> None:
        import msgspec

        listed = msgspec.to_builtins(self.listed)
        say_json(
            {
                "complete": self.complete,
                "logs": self.logs,
                "decisions": self.decisions,
                "evaluations": self.evaluated,
                "states": dict(self.states),
                "damaged": self.damaged,
                "signature_not_checked": self.unverified,
                "policy_today": self.policy_today,
                "policies": dict(self.policies),
                "different": listed["different"],
                "flips": {
                    "decisions": self.flips,
                    "credentials": len(self.credentials),
                    "listed": listed["flips"],
                },
            }
        )

    def _list(self, kind: str, one: Replayed) -> None:
        if len(self.listed[kind]) < MOST_LISTED:
            self.listed[kind].append(one)

    def _show(self, kind: str) -> None:
        for one in self.listed[kind][:MOST_SHOWN]:
            now = one.today if kind == "flips" else one.replayed
            who = " ".join(one.who.values())
            say(f"  {one.decision_id}: {_told(one.recorded)} -> {_told(now) if now else 'nothing'}  {who}")
        left = len(self.listed[kind]) - MOST_SHOWN
        if left > 0:
            say(f"  and more: --json lists up to {MOST_LISTED:,}")


_STATES: Final = {
    "same": "came out as recorded, reason for reason",
    "different": "came out otherwise than recorded",
    "facts_not_kept": "cannot be replayed: made before facts were kept",
    "facts_erased": "cannot be replayed: the facts were erased",
    "policies_not_kept": "cannot be replayed: the policies are not kept, or not readable by this version",
}


def _told(said: Said) -> str:
    return f"{said.outcome}{': ' if said.reasons else ''}{', '.join(said.reasons)}"
