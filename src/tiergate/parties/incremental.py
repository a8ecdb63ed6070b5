"""Verdicts kept up to date while single stakes change, equal to deciding the whole graph again.

Every entity that meets a test on a bound has a round, higher than that of the holders it joined by. A change is
looked at where it is. What no longer meets the test by holders of earlier rounds alone is taken out, then what joined
by it, in order of rounds, so that companies that only hold each other up fall; last, what was taken out is tried
again with all that is left. Work follows verdicts that change. One that would touch more than `LIMIT` stakes costs a
full resolution instead.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable

import numpy as np

from tiergate.errors import InputError
from tiergate.parties.chains import DEPTH, LEAST, carried
from tiergate.parties.ownership import WHOLE, OwnershipTest, Prong, Remainder, Rows, StakeGraph, listed_mask
from tiergate.parties.resolving import Resolution, Verdict, resolve

LIMIT = 400_000
"""Stakes looked at in one update before all is resolved anew: about as long as that takes on some million stakes."""

SPARE = 4096


class _TooMuchError(Exception):
    """An update reaches so far that a full resolution is cheaper."""


class LiveVerdicts:
    """Verdicts of one test, under edits. Starts from a `Resolution`, which it leaves as it is.

    Every edit returns the entities whose verdict changed, with the new one.
    """

    def __init__(self, resolution: Resolution) -> None:
        self.test = resolution.test
        self._spent = 0
        self._load(resolution)

    def verdict(self, entity: int) -> Verdict:
        """Verdict on one entity."""
        return Verdict.YES if self._low[entity] >= 0 else Verdict(self._high[entity] >= 0)

    def verdicts(self) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
        """Verdicts on all, (n,) int8."""
        high = (np.asarray(self._high) >= 0).astype(np.int8)
        return np.where(np.asarray(self._low) >= 0, np.int8(2), high)

    def graph(self) -> StakeGraph:
        """The graph as it stands; stakes keep their numbers, and removed ones are 0 to 0."""
        used = slice(0, self._stakes)
        columns = {name: np.array(column[used]) for name, column in self._columns.items()}
        return StakeGraph.build(self._graph.entities, **columns, undisclosed=np.array(self._undisclosed))

    def change(self, stake: int, lo_ppm: int, hi_ppm: int) -> dict[int, Verdict]:
        """Give a stake other bounds. Raises InputError for bounds that no stake can have or a number without a
        stake."""
        if not 0 <= stake < self._stakes:
            raise InputError(f"there is no stake `{stake}`; use the number that adding it returned")
        edge = self._prong[stake] == Prong.CONTROL
        if not 0 <= lo_ppm <= hi_ppm <= WHOLE or (edge and (lo_ppm % WHOLE or hi_ppm % WHOLE)):
            raise InputError(f"`{lo_ppm}` to `{hi_ppm}` are no bounds of a stake; give parts per million, lower first")
        carries = hi_ppm != self._hi[stake]
        self._lo[stake], self._hi[stake] = lo_ppm, hi_ppm
        return self._update(stake, carries)

    def remove(self, stake: int) -> dict[int, Verdict]:
        """Take a stake out. Its number is not used again."""
        return self.change(stake, 0, 0)

    def add(
        self,
        owner: int,
        owned: int,
        lo_ppm: int,
        hi_ppm: int,
        *,
        prong: Prong = Prong.ECONOMIC,
        concert: int = -1,
        indirect: bool = False,
    ) -> tuple[int, dict[int, Verdict]]:
        """Add a stake; returns its number too. Raises InputError as `StakeGraph.build` does."""
        values = (owner, owned, lo_ppm, hi_ppm, int(prong), concert, indirect)
        row = dict(zip(self._columns, values, strict=True))
        StakeGraph.build(self._graph.entities, **{name: [value] for name, value in row.items()})
        stake = self._stakes
        if stake == len(self._owner):
            self._keep({name: np.asarray(column) for name, column in self._columns.items()}, np.asarray(self._rest))
        for name, column in self._columns.items():
            column[stake] = row[name]
        self._stakes += 1
        self._more_in[owned].append(stake)
        self._more_out[owner].append(stake)
        if indirect:
            self._more_watch[owned].add(stake)
        return stake, self._update(stake, True)

    def set_listed(self, entity: int, listed: bool) -> dict[int, Verdict]:
        """Put an entity on the list, or take it off. Raises InputError for a number outside 0..n-1."""
        listed_mask(self._graph.entities, [entity])
        if self._listed[entity] == listed:
            return {}
        self._listed[entity] = listed
        touched = {entity: self.verdict(entity)}
        # Those listed are in round 0, which is never taken out. Off the list, it stays if earlier rounds alone
        # suffice.
        for rounds in (self._low, self._high):
            rounds[entity] = 0 if listed else 1
        return self._repaired([entity], touched, below=entity)

    def set_undisclosed(self, entity: int, undisclosed: bool) -> dict[int, Verdict]:
        """Say whether the holders of an entity's unexplained part are unknown. Raises InputError as `set_listed`."""
        listed_mask(self._graph.entities, [entity])
        self._undisclosed[entity] = undisclosed
        return self._repaired([entity], {})

    def _load(self, resolution: Resolution) -> None:
        graph = self._graph = resolution.graph
        self._stakes = len(graph.owner)
        self._undisclosed = graph.undisclosed.copy().data
        self._listed = resolution.listed.copy().data
        self._low, self._high = resolution.low_round.copy().data, resolution.high_round.copy().data
        names = ("owner", "owned", "lo_ppm", "hi_ppm", "prong", "concert", "indirect")
        self._keep({name: getattr(graph, name) for name in names}, graph.rest_ppm)
        self._begin_in, self._row_in = graph.incoming.begin.data, graph.incoming.row.data
        self._begin_out, self._row_out = graph.outgoing.begin.data, graph.outgoing.row.data
        self._begin_edge, self._row_edge = graph.controlling.begin.data, graph.controlling.row.data
        self._more_in: dict[int, list[int]] = defaultdict(list)
        self._more_out: dict[int, list[int]] = defaultdict(list)
        seen = carried(graph, np.flatnonzero(graph.indirect))
        watch = Rows.of(seen.stake.astype(np.int32), seen.entity.astype(np.int32), graph.entities)
        self._begin_watch, self._row_watch = watch.begin.data, watch.row.data
        self._more_watch: dict[int, set[int]] = defaultdict(set)

    def _keep(self, columns: dict[str, np.ndarray], rest: np.ndarray) -> None:
        """Columns with room to grow, as views that hand out plain numbers."""
        self._columns = {
            name: np.append(column, np.zeros(SPARE, column.dtype)).data for name, column in columns.items()
        }
        self._owner, self._owned, self._lo, self._hi = list(self._columns.values())[:4]
        self._prong, self._concert, self._indirect = list(self._columns.values())[4:]
        self._rest = np.append(rest, np.zeros(SPARE, rest.dtype)).data

    def _update(self, stake: int, carries: bool) -> dict[int, Verdict]:
        """After a stake changed; ``carries`` when its upper bound did, on which declared indirect stakes depend."""
        owned = self._owned[stake]
        watchers: set[int] = set()
        if self._indirect[stake]:
            watchers = {stake}
        elif carries:
            watchers.update(self._row_watch[self._begin_watch[owned] : self._begin_watch[owned + 1]].tolist())
            watchers |= self._more_watch.get(owned, set())
        self._rest[stake] = self._hi[stake]
        return self._repaired([owned], {}, [each for each in watchers if self._prong[each] == self._prong[stake]])

    def _repaired(
        self, dirty: list[int], touched: dict[int, Verdict], watchers: Iterable[int] = (), below: int | None = None
    ) -> dict[int, Verdict]:
        """Repair both bounds at ``dirty``, at what ``below`` has stakes in, and where declared stakes of ``watchers``
        are explained otherwise than before. ``touched`` are verdicts before the edit, as far as it changed any."""
        self._spent = 0
        try:
            dirty = dirty if below is None else dirty + self._out(below)
            for watcher in watchers:
                rest = max(0, self._hi[watcher] - self._carry(watcher))
                if rest != self._rest[watcher]:
                    self._rest[watcher] = rest
                    dirty.append(self._owned[watcher])
            for rounds in (self._low, self._high):
                self._repair(rounds, dirty, touched)
        except _TooMuchError:
            return self._anew(touched)
        now = {entity: self.verdict(entity) for entity in touched}
        return {entity: verdict for entity, verdict in now.items() if verdict != touched[entity]}

    def _anew(self, touched: dict[int, Verdict]) -> dict[int, Verdict]:
        before = self.verdicts()
        before[list(touched)] = list(touched.values())
        pinned = np.flatnonzero(np.asarray(self._low) == 0)
        self._load(resolve(self.graph(), np.flatnonzero(self._listed), self.test, known=pinned))
        after = self.verdicts()
        return {int(entity): Verdict(after[entity]) for entity in np.flatnonzero(before != after)}

    def _repair(self, rounds: memoryview, entities: list[int], touched: dict[int, Verdict]) -> None:
        """Make ``rounds`` a least fixpoint again after the stakes in ``entities`` changed."""
        due = [(rounds[entity], entity) for entity in entities if rounds[entity] > 0]
        heapq.heapify(due)
        again = deque(entity for entity in entities if rounds[entity] < 0)
        last = (-1, -1)
        while due:
            item = heapq.heappop(due)
            round_, entity = item
            if item == last or rounds[entity] != round_ or self._joins(rounds, entity, round_) is not None:
                last = item
                continue
            touched.setdefault(entity, self.verdict(entity))
            rounds[entity] = -1
            again.append(entity)
            for next_ in self._out(entity):
                if rounds[next_] > round_:
                    heapq.heappush(due, (rounds[next_], next_))
        while again:
            entity = again.popleft()
            if rounds[entity] >= 0 or (joined := self._joins(rounds, entity)) is None:
                continue
            touched.setdefault(entity, self.verdict(entity))
            rounds[entity] = joined
            again.extend(next_ for next_ in self._out(entity) if rounds[next_] < 0)

    def _in(self, entity: int) -> list[int]:
        rows: list[int] = self._row_in[self._begin_in[entity] : self._begin_in[entity + 1]].tolist()
        rows += self._more_in.get(entity, ())
        self._spend(len(rows))
        return rows

    def _out(self, entity: int) -> list[int]:
        """Entities in which it has a stake."""
        rows: list[int] = self._row_out[self._begin_out[entity] : self._begin_out[entity + 1]].tolist()
        rows += self._row_edge[self._begin_edge[entity] : self._begin_edge[entity + 1]].tolist()
        rows += self._more_out.get(entity, ())
        self._spend(len(rows))
        owned = self._owned
        return [owned[row] for row in rows]

    def _spend(self, rows: int) -> None:
        self._spent += rows + 1
        if self._spent > LIMIT:
            raise _TooMuchError

    def _joins(self, rounds: memoryview, entity: int, before: int = 1 << 31) -> int | None:
        """Round in which an entity joins by holders of rounds earlier than ``before``; None where they do not
        suffice."""
        test, upper, last = self.test, rounds is self._high, 0
        counted = [prong in test.counts.value for prong in (0, 1)]
        firm, present = [0, 0], [False, False]
        lots: tuple[dict[int, list[int]], ...] = ({}, {})
        shared = ([0, 0], [0, 0])
        for stake in self._in(entity):
            prong, owner, lo = self._prong[stake], self._owner[stake], self._lo[stake]
            round_ = rounds[owner]
            held = 0 <= round_ < before
            if prong == Prong.CONTROL:
                if held and test.control and (self._hi[stake] if upper else lo):
                    return round_ + 1
                continue
            if not counted[prong]:
                continue
            indirect, rest, concert = self._indirect[stake], self._rest[stake], self._concert[stake]
            firm[prong] += 0 if indirect else lo
            present[prong] |= self._hi[stake] > 0
            if not held:
                continue
            last = max(last, round_)
            if test.aggregate or (upper and concert < 0 and not self._listed[owner]):
                sums = shared[prong]
            else:
                sums = lots[prong].setdefault(concert if concert >= 0 else ~owner, [0, 0])
            sums[0] += rest if upper else 0 if indirect else lo
            sums[1] += rest if indirect else lo
        need = test.need_ppm - (test.equal_presumes_control and not test.at_least)
        for prong in (0, 1):
            if not counted[prong]:
                continue
            left = WHOLE - firm[prong]
            could = 0
            if upper:
                unclear = self._open(entity, test) and (present[prong] or not any(present))
                if left < 0 and test.remainder is not Remainder.IGNORED:
                    unclear, left = True, WHOLE
                could = WHOLE if unclear else 0
            most = shared[prong]
            for lot in ([0, 0], *lots[prong].values()):
                first, second = could + most[0] + lot[0], left + most[1] + lot[1]
                if (first if upper else first + min(left, 0)) >= need and (not upper or second >= need):
                    return last + 1
        return None

    def _open(self, entity: int, test: OwnershipTest) -> bool:
        if test.remainder is Remainder.STATED:
            return bool(self._undisclosed[entity])
        return test.remainder is Remainder.EVERY

    def _carry(self, stake: int) -> int:
        """What direct chains carry of an indirect stake, as `chains.carried`; watches every entity it looks at."""
        owner, owned, kind, total = self._owner[stake], self._owned[stake], self._prong[stake], 0
        owners, highs, prongs, indirect = self._owner, self._hi, self._prong, self._indirect
        flow = {owned: WHOLE}
        for depth in range(DEPTH):
            back: dict[int, int] = {}
            for entity, share in flow.items():
                self._more_watch[entity].add(stake)
                for row in self._in(entity):
                    part = share * highs[row] // WHOLE
                    if part < LEAST or prongs[row] != kind or indirect[row]:
                        continue
                    holder = owners[row]
                    if holder == owner:
                        total += part if depth else 0
                    elif holder != owned:
                        back[holder] = back.get(holder, 0) + part
            flow = {holder: min(part, WHOLE) for holder, part in back.items()}
            if not flow or total >= self._hi[stake]:
                break
        return min(total, WHOLE)
