"""The pooled-workload tests: do these accounts work off one queue?

A dispatcher deals one queue out to many accounts, so the account label tells nothing: two of the campaign's exchanges
are as likely to share a subject, or to fall into the same minutes, whether or not one account sent them, and no
message is sent twice except by lot. People are not like that: what one account asks resembles what it asked before,
and it asks in sittings. A harness is not like that either: every account sends the same list, each message once.

**Label tests** (`subject`, `minutes`, `messages`). For a feature (content words; ten-minute bins; whole messages) the
value is the log ratio of two rates: how often pairs of exchanges *of one account* share the feature, and how often
pairs *of different accounts* do. It is 0 for a dealt-out queue, large for independent people also when they all use
one tool, and far below 0 for a list that each account runs once (disjoint within, repeated across). A group is never
clean, so no member may decide: of `subject` the value is the weighted median over accounts; of `minutes`, where most
accounts have no pair at all, accounts are pooled without the tenth that has most of them. The evidence compares squared
distances, each in its own standard deviations: to 0, and to what groups of other accounts of this platform show. This
is a normal log-likelihood ratio with both peaks set level, so that where those groups are themselves near 0 (as in
traffic without sittings) the test says nothing. `messages` can only speak against: that nobody repeats anything is
common; its label is the account's day, as a list may be run on several.

**Repeats**: the share of exchanges whose whole message a fifth of the members send too. Who pays for answers to learn
from asks each question once, or a few times over; a class and a benchmark's users have one list in common. It can only
speak against.

**Rate tests** (`hand-over`, `variance`). When accounts are closed, a dispatcher's other accounts take their load over
within hours; independent ones go on as before: a Poisson log-likelihood ratio. The pooled rate of one queue varies
less than the rates of its accounts add up to; strangers' rates add up. Where the rate in common comes in bursts,
something outside (an outage elsewhere, a release, a deadline) sets the hour for all, and sharing it says nothing.

Permutation p-values come with cases only (`WorkloadTest.permuted`): against labels dealt by lot, and against accounts
shifted in time. Counting pairs by feature makes everything linear in exchanges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.clock import DAY, HOUR, MINUTE
from tiergate.detection.arrays import runs
from tiergate.detection.intake import Traffic
from tiergate.detection.sharing import UNKNOWN, Features, median_ratio, pairs, sharing

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

BIN_US: Final = 10 * MINUTE
COMMON_SHARE: Final = 0.2
"""Words in a fifth of the pooled messages belong to the template, not to what was filled in."""

DEALING_SLACK: Final = 0.2
"""Standard deviation allowed around 0 beyond counting error: real dispatchers are not perfectly random."""

LEAST_SPREAD: Final = 0.3
"""Smallest standard deviation credited to the reference: it is estimated from few groups."""

STRONGEST: Final = {"subject": 7.0, "minutes": 2.0, "messages": 6.0, "hand-over": 6.0}
"""Nats that one statistic may add. Of twenty kinds of honest groups in the tuning worlds none but those with a list in
common comes near 0 in `subject`; bots, build runners and exporters, which never sit, do in `minutes`."""

DEALT: Final = {"subject": 0.85, "minutes": 0.5, "messages": 0.98}
"""How many campaigns deal out each feature by lot, by judgement: some give each account its own subjects, or hours of a
person; hardly any has each account repeat the others' messages. A feature that is not dealt out costs a group the log
of the remainder and no more, since hiding it is what a careful campaign would do."""

LABEL_TESTS: Final = {"subject": "a subject", "minutes": "the same ten minutes"}
"""Statistics that may speak for and against, and what two exchanges share there."""

RATE_TESTS: Final = ("hand-over", "variance")
"""Statistics that speak by rates alone, whatever the label tests can tell on a platform."""

TRIMMED: Final = 0.1
"""Share of accounts, those with most pairs of their own, that a pooled ratio leaves out."""

LEAST_TRIMMED: Final = 3
"""Pairs that an account needs to be left out: where hardly any has one, a single pair makes nobody unlike."""

LOUD: Final = 3
"""Times the median volume of its members that a group is measured with of each."""

LEAST_LOUD: Final = 12

PERSONAL: Final = 0.8
"""Standard deviation of one person's log ratio of subjects around the mean of groups."""

MOST_PERSONAL: Final = 3.0
"""Nats that an account's own subjects may say for or against its membership."""


ONCE: Final = 0.05
"""Mean share of repeated messages where each question is asked once: greetings and retries."""

BURSTING: Final = 4.0
"""Squared coefficient of variation of a rate in common from which something outside sets the hour: colleagues who work
40 hours of the week reach 3, an outage elsewhere or a release 20 and more."""

MOST_BURSTING: Final = 1.9
"""Nats that bursts in common may take: one campaign in seven is bursty itself."""

FULL_POWER: Final = 4.0
"""Nats that a perfect dealer would earn where the tests are taken at their word; where people's traffic has neither
sittings nor subjects they can neither convict nor clear."""

ONCE_EACH: Final = 0.2
"""Repeats within an account's day, as a share of what dealing by lot brings, of a list that everybody runs once."""

STOP_WINDOW_US: Final = DAY
LEAST_STOPPED: Final = 0.05
"""Share of the pool's load that must stop at once for the others' answer to be measurable."""

REFERENCE_GROUPS: Final = 120
REFERENCE_SIZE: Final = 24
MEASURED_ROWS: Final = 60_000
"""Exchanges of a group that are measured: beyond that a sample of whole accounts says the same."""

PERMUTATIONS: Final = 199
PERMUTED_ROWS: Final = 6_000
"""Exchanges of a case that permutations are made of: a sample of accounts beyond that."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """One test: its ``value`` with standard ``error``, the reference's ``mean`` and ``spread``, and ``log_odds`` (nats)
    of a dealt-out queue against independent accounts. ``p_value``: by permutation, NaN where none was made."""

    name: str
    value: float
    error: float
    mean: float
    spread: float
    log_odds: float
    p_value: float = float("nan")


class WorkloadTest:
    """Measures groups of accounts against a reference drawn from the same platform.

    :param closed_us: when each account (accounts,) was closed, microseconds since the epoch; -1 for never.
    :param speaks_for_others: accounts (accounts,) whose end users are believed; None for all.
    """

    def __init__(
        self,
        traffic: Traffic,
        closed_us: I64,
        rng: np.random.Generator,
        speaks_for_others: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self._account = traffic.account
        self._time = traffic.time_us
        self._closed = closed_us
        end_user = traffic.columns["end_user_id"].code
        believed = True if speaks_for_others is None else speaks_for_others[traffic.account]
        self._end_user = np.where(believed, end_user, -1)
        self._rows_of = np.argsort(traffic.account, kind="stable")
        self._start = np.searchsorted(traffic.account[self._rows_of], np.arange(len(traffic.account_ids) + 1))
        every = np.arange(traffic.rows + 1)
        # Exchanges without a message have a feature each of their own.
        message = np.where(traffic.prompt >= 0, traffic.prompt, traffic.rows + every[:-1])
        self._features = {
            "subject": Features(traffic.words.start, traffic.words.code, COMMON_SHARE),
            "minutes": Features(every, traffic.time_us // BIN_US - traffic.time_us[0] // BIN_US, 1.1),
            "messages": Features(every, message, 1.1),
        }
        self._reference = self._measure_reference(rng)
        # What the tests would say of a perfect dealer, against what it takes to be believed.
        asked = (self._reference[name] for name in ("subject", "minutes"))
        ideal = sum((mean / spread) ** 2 / 2 for mean, spread in asked)
        self.power = float(min(1.0, ideal / FULL_POWER))

    def measure(self, rows: I64) -> list[Statistic]:
        """Test the pooled exchanges ``rows`` (ascending) of one group."""
        some = self._sample(rows, np.random.default_rng(len(rows)), MEASURED_ROWS)
        tests = [self._label_test(name, some) for name in self._features]
        return [*tests, self._repeats(rows), *self._hand_over(rows), *self._variance(rows)]

    def permuted(self, statistics: list[Statistic], rows: I64, rng: np.random.Generator) -> list[Statistic]:
        """The statistics with permutation p-values.

        Label tests: share of dealings by lot whose ratio is as high as the group's; small speaks against a queue.
        Variance: share of groups with each account shifted by some days and hours that vary as little; small speaks for
        a queue. Hand-over: share of other moments at which the rest of the pool rose as much.
        """
        some = self._sample(rows, rng, PERMUTED_ROWS)
        finished = []
        for one in statistics:
            if one.name in self._features:
                label = self._labels(one.name, some)
                value = self._ratio(one.name, some, label)[0]
                drawn = [self._ratio(one.name, some, rng.permutation(label))[0] for _ in range(PERMUTATIONS)]
                reached = sum(other >= value for other in drawn)
            elif one.name == "variance":
                value = self._spread(some, self._time[some])[0]
                reached = sum(self._spread(some, self._shifted(some, rng))[0] <= value for _ in range(PERMUTATIONS))
            elif one.name in ("repeats", "bursts"):
                finished.append(one)  # no dealing by lot changes them
                continue
            else:
                moments = rng.uniform(self._time[rows[0]], self._time[rows[-1]], PERMUTATIONS).astype(np.int64)
                stopped = self._stopped(rows)[1]
                reached = sum(self._rise(rows, moment, stopped)[0] >= one.value for moment in moments.tolist())
            p = (reached + 1) / (PERMUTATIONS + 1)
            finished.append(Statistic(one.name, one.value, one.error, one.mean, one.spread, one.log_odds, p))
        return finished

    def dealt(self, rows: I64) -> tuple[I64, F64]:
        """Accounts (k,) of ``rows``, and log-odds (k,) that what each sends was dealt to it and is not its own: by how
        often its exchanges share a subject, against the group's and against a person's. 0 where end users are named: an
        account that speaks for several has no subjects of its own."""
        account = self._account[rows].astype(np.int64)
        if len(np.unique(self._labels("subject", rows))) > len(np.unique(account)):
            return np.unique(account), np.zeros(len(np.unique(account)))
        same, possible, different, apart = sharing(self._features["subject"], rows, account)
        expected = possible * different / np.maximum(apart, 1)
        ratio = np.log((same + 0.5) / (expected + 0.5))
        square = 1 / (same + 0.5) + 1 / (expected + 0.5)
        wide, narrow = square + PERSONAL**2, square + DEALING_SLACK**2
        own = (ratio - self._reference["subject"][0]) ** 2 / wide + np.log(wide)
        odds = (own - ratio**2 / narrow - np.log(narrow)) / 2
        return np.unique(account), np.clip(odds, -MOST_PERSONAL, MOST_PERSONAL)

    def rows_of(self, accounts: I64) -> I64:
        """Exchanges (ascending) of ``accounts``."""
        return np.sort(self._rows_of[runs(self._start[accounts], self._start[accounts + 1] - self._start[accounts])])

    def _label_test(self, name: str, rows: I64) -> Statistic:
        value, error = self._ratio(name, rows, self._labels(name, rows))
        mean, spread = self._reference[name]
        # Fewer accounts than the reference groups have vary more: a mean over accounts.
        accounts = len(np.unique(self._account[rows]))
        spread *= float(np.sqrt(max(1.0, REFERENCE_SIZE / max(accounts, 1))))
        if name == "messages":
            return Statistic(
                name, value, error, mean, spread, min(0.0, _mixed(name, self._by_lot(self._unlisted(rows))))
            )
        # A dispatcher that goes round its accounts gives none two exchanges in the same minutes.
        off = max(value, 0.0) if name == "minutes" else value
        dealt = float((off / np.hypot(error, DEALING_SLACK)) ** 2) / 2
        independent = float(((value - mean) / np.hypot(error, spread)) ** 2) / 2
        if name == "subject":
            # Honest groups have more ways to be odd than a normal density knows: what fits neither is no queue.
            independent = min(independent, STRONGEST[name])
        return Statistic(name, value, error, mean, spread, _mixed(name, independent - dealt))

    def _by_lot(self, rows: I64) -> float:
        """Log-likelihood ratio (Poisson) of messages that repeat within an account's day as often as dealing by lot
        brings, against `ONCE_EACH` of that: a list that everybody runs once."""
        account = np.unique(self._account[rows], return_inverse=True)[1]
        repeated = np.bincount(account, self._holders(rows)[0] > 1)
        most = np.argsort(-repeated, kind="stable")[: int(TRIMMED * len(repeated))]
        rows = rows[~np.isin(account, most)]
        message = np.unique(self._features["messages"].code[rows], return_inverse=True)[1]
        ratios = []
        # Some lists are run by everybody on several days, others shared out so that nobody gets an item twice.
        for owner in (self._account[rows], self._labels("messages", rows)):
            label = np.unique(owner, return_inverse=True)[1]
            volume = np.bincount(label)
            own = np.unique(label * np.int64(len(rows)) + message, return_counts=True)[1]
            apart = max(pairs(np.array([len(rows)])) - pairs(volume), 1.0)
            expected = pairs(volume) * (pairs(np.bincount(message)) - pairs(own)) / apart
            ratios.append(float(pairs(own) * -np.log(ONCE_EACH) - expected * (1 - ONCE_EACH)))
        return min(ratios)

    def _hand_over(self, rows: I64) -> list[Statistic]:
        """Where much of the group was closed within a day: did the others take its load over?"""
        moment, stopped = self._stopped(rows)
        if moment < 0:
            return []
        rise, before, after, factor = self._rise(rows, moment, stopped)
        if before == 0:
            return []
        odds, most = after * np.log(factor) - before * (factor - 1), STRONGEST["hand-over"]
        return [Statistic("hand-over", rise, float(1 / np.sqrt(after + 1)), 0.0, 0.0, float(np.clip(odds, -3, most)))]

    def _stopped(self, rows: I64) -> tuple[int, I64]:
        """The moment at which most of the group was closed within a day (-1: none) and the accounts closed then."""
        members = np.unique(self._account[rows])
        closed = self._closed[members]
        inside = (closed > self._time[rows[0]] + HOUR) & (closed < self._time[rows[-1]] - HOUR)
        when = np.sort(closed[inside])
        if not len(when):
            return -1, np.empty(0, np.int64)
        number = np.searchsorted(when, when + STOP_WINDOW_US, side="right") - np.arange(len(when))
        moment = int(when[np.argmax(number)])
        stopped = members[inside & (closed >= moment) & (closed <= moment + STOP_WINDOW_US)]
        share = np.isin(self._account[rows], stopped).mean()
        return (moment, stopped) if LEAST_STOPPED <= share <= 1 - LEAST_STOPPED else (-1, stopped)

    def _rise(self, rows: I64, moment: int, stopped: I64) -> tuple[float, float, int, float]:
        """Log rise of the others' load over ``moment`` beyond the platform's, their exchanges expected without it and
        found after, and the factor by which they would rise if they took over what stopped."""
        time, out = self._time[rows], np.isin(self._account[rows], stopped)
        before = (time < moment) & (time >= moment - STOP_WINDOW_US)
        after = (time >= moment) & (time < moment + STOP_WINDOW_US)
        theirs, ours, then = int((before & ~out).sum()), int((before & out).sum()), int((after & ~out).sum())
        # What everybody else does at that hour (a Monday, a holiday) is nobody's taking over.
        edges = np.searchsorted(self._time, [moment - STOP_WINDOW_US, moment, moment + STOP_WINDOW_US])
        others = (np.diff(edges) - [before.sum(), after.sum()]).astype(float)
        usual = theirs * (others[1] + 1) / (others[0] + 1)
        factor = (usual + ours + 1) / (usual + 1)
        return float(np.log((then + 0.5) / (usual + 0.5))), usual, then, factor

    def _repeats(self, rows: I64) -> Statistic:
        """Share of exchanges from a list in common. Nine campaigns in ten have none; half of the honest groups that
        look dealt out do, and it makes up most of what they send."""
        value = float(self._listed(rows).mean()) if len(rows) else 0.0
        once = float(np.exp(-value / ONCE) / ONCE)
        odds = float(np.log((0.9 * once + 0.1) / (0.5 * once + 0.5 * 3 * value**2 + 1e-9)))
        return Statistic("repeats", value, 0.0, 0.0, 0.0, min(0.0, odds))

    def _unlisted(self, rows: I64) -> I64:
        """``rows`` without a list in common, which `repeats` speaks of, where that is less than half of them: padding
        a queue with some is cheap."""
        own = rows[~self._listed(rows)]
        return own if 2 * len(own) >= len(rows) else rows

    def _listed(self, rows: I64) -> npt.NDArray[np.bool_]:
        """Which of ``rows`` carry a message that a share `COMMON_SHARE` of their accounts send, three at least."""
        holders, accounts = self._holders(rows)
        return np.asarray(holders >= max(3, COMMON_SHARE * accounts))

    def _holders(self, rows: I64) -> tuple[I64, int]:
        """By how many accounts the message of each of ``rows`` is sent among them, and how many accounts there are."""
        _, dense = np.unique(self._account[rows], return_inverse=True)
        accounts = int(dense.max(initial=-1)) + 1
        code, message = np.unique(self._features["messages"].code[rows], return_inverse=True)
        pair = np.unique(message * np.int64(max(accounts, 1)) + dense)
        return np.bincount(pair // max(accounts, 1), minlength=len(code))[message], accounts

    def _variance(self, rows: I64) -> list[Statistic]:
        value, bursts = self._spread(rows, self._time[rows])
        even, common = (
            np.clip(-3 * (value + 0.2), 0, 3),
            np.clip(np.log(max(bursts, 1e-9) / BURSTING), 0, MOST_BURSTING),
        )
        return [
            Statistic("variance", value, 0.0, 0.0, 0.0, float(even)),
            Statistic("bursts", bursts, 0.0, 0.0, 0.0, -float(common)),
        ]

    def _spread(self, rows: I64, time: I64) -> tuple[float, float]:
        """Log of the pooled hourly variance over the sum of the accounts' variances, and the squared coefficient of
        variation of the rate that all have in common."""
        begin = time.min() // HOUR
        hours = int(time.max() // HOUR - begin) + 1
        if hours < 24:
            return 0.0, 0.0
        hour = time // HOUR - begin
        pooled = np.bincount(hour, minlength=hours)
        account = self._account[rows]
        cell = np.unique(account * np.int64(hours) + hour, return_counts=True)[1]
        volume = np.unique(account, return_counts=True)[1]
        each = (cell.astype(float) ** 2).sum() / hours - ((volume / hours) ** 2).sum()
        whole = float(pooled.var())
        return float(np.log(max(whole, 1e-9) / max(each, 1e-9))), max(0.0, whole - float(each)) / float(
            pooled.mean()
        ) ** 2

    def _shifted(self, rows: I64, rng: np.random.Generator) -> I64:
        """Times of ``rows`` with each account's moved around the window by an offset of its own."""
        time = self._time[rows]
        begin, length = time[0], time[-1] - time[0] + 1
        offset = rng.integers(0, length, len(self._start))
        return np.asarray(begin + (time - begin + offset[self._account[rows]]) % length)

    def _sample(self, rows: I64, rng: np.random.Generator, most: int) -> I64:
        """Rows of as many of their accounts, drawn at random, as make ``most`` exchanges; of an account with many times
        what the others have, some drawn at random, so that it does not stand for the group."""
        code = np.unique(self._account[rows], return_inverse=True)[1]
        volume = np.bincount(code)
        loud = max(LOUD * int(np.median(volume)), LEAST_LOUD) if len(volume) else 0
        if len(volume) and volume.max() > loud:
            order = np.lexsort((rng.random(len(rows)), code))
            position = np.arange(len(rows)) - np.repeat(np.cumsum(volume) - volume, volume)
            kept = np.sort(order[position < loud])
            rows, code, volume = rows[kept], code[kept], np.minimum(volume, loud)
        if len(rows) <= most:
            return rows
        chosen = rng.permutation(len(volume))
        chosen = chosen[: max(2, int(np.searchsorted(np.cumsum(volume[chosen]), most)))]
        return rows[np.isin(code, chosen)]

    def _measure_reference(self, rng: np.random.Generator) -> dict[str, tuple[float, float]]:
        volume = np.diff(self._start)
        busy = np.flatnonzero(volume >= 5)
        reference = {}
        groups = [
            self._sample(self.rows_of(rng.choice(busy, REFERENCE_SIZE, replace=False)), rng, MEASURED_ROWS)
            for _ in range(REFERENCE_GROUPS if len(busy) >= 2 * REFERENCE_SIZE else 0)
        ]
        for name in self._features:
            measured = [self._ratio(name, rows, self._labels(name, rows)) for rows in groups]
            values = np.array([value for value, error in measured if error < 2])
            enough = len(values) >= 8
            spread = max(float(np.std(values)), LEAST_SPREAD) if enough else UNKNOWN
            reference[name] = (float(np.mean(values)) if enough else 0.0, spread)
        return reference

    def _labels(self, name: str, rows: I64) -> I64:
        """Whose each of ``rows`` is: the account's; its end user's where accounts name those, since a reseller's
        customers are people too; the account's day for messages."""
        account = self._account[rows].astype(np.int64)
        if name == "messages":
            return account * (1 << 20) + self._time[rows] // DAY
        user = self._end_user[rows]
        label = np.unique(account * (int(user.max(initial=0)) + 2) + user + 1, return_inverse=True)[1]
        # Names that never come back are no people.
        return label if 2 * (np.bincount(label)[label] > 1).sum() >= len(rows) else account

    def _ratio(self, name: str, rows: I64, label: I64) -> tuple[float, float]:
        """Log ratio of sharing within and between ``label`` (rows,) over ``rows``, and its standard error."""
        feature = self._features[name]
        if name == "subject":
            # What a fifth of the accounts send word for word is a list in common, and nobody's subject.
            own = ~self._listed(rows)
            if 2 * own.sum() < len(own):
                return 0.0, UNKNOWN
            rows, label = rows[own], label[own]
        same, possible, different, apart = sharing(feature, rows, label)
        if possible.sum() == 0 or apart.sum() == 0:
            return 0.0, UNKNOWN
        bound = len(rows) / 2
        counted = float(np.sqrt(1 / (min(different.sum() / 2, bound) + 0.5)))
        if name == "subject":
            value, error = median_ratio(same, possible * different / np.maximum(apart, 1))
            return value, float(np.hypot(error, counted))
        between = float((different.sum() + 1) / apart.sum())
        if name == "minutes":
            excess = np.where(same >= LEAST_TRIMMED, same - possible * between, -np.inf)
            kept = np.ones(len(same), bool)
            kept[np.argsort(-excess, kind="stable")[: int(TRIMMED * len(same))]] = False
            kept |= same < LEAST_TRIMMED
            same, possible = same[kept], possible[kept]
        if possible.sum() == 0:
            return 0.0, UNKNOWN
        shared = float(same.sum())
        value = float(np.log((shared + 0.5) / possible.sum()) - np.log(between))
        # Pairs that share an exchange are not independent: the number of exchanges bounds the information.
        return value, float(np.hypot(np.sqrt(1 / (min(shared, bound) + 0.5)), counted))


def _mixed(name: str, log_ratio: float) -> float:
    """Log-odds when only the share `DEALT` of campaigns shows a feature, from the log-likelihood ratio if it did."""
    dealt = DEALT[name]
    return float(np.log(dealt * np.exp(np.clip(log_ratio, -30, STRONGEST[name])) + 1 - dealt))
