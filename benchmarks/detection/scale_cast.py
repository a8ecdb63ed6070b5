"""The accounts of a large sketched world: who they are, what they share, and how much they send.

Everything about an account or an exchange is a hash of its number and a salt (`drawn`), so that any slice of the
world can be made by itself and nothing but a few arrays by account is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tiergate.clock import DAY
from tiergate.ledger.sketches import mix
from tiergate.records.schema import ACCOUNT_SCHEMA

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
U64 = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.integer[Any]]

START_US: Final = 1_780_272_000_000_000  # 2026-06-01, a Monday
DAYS: Final = 21

POPULATIONS: Final = ("people", "tool", "machine", "template", "office", "campaign")
"""People on their own, users of a shared tool (its system prompt and client), accounts with a template of their own
that run day and night, users of a public template, colleagues behind one address, campaigns."""
PEOPLE, TOOL, MACHINE, TEMPLATE, OFFICE, CAMPAIGN = range(len(POPULATIONS))
SHARES: Final = (0.50, 0.35, 0.05, 0.06, 0.04)

CAMPAIGNS: Final = ((500, 300), (5_000, 100), (18_500, 60))
"""Accounts of each campaign in a world of a million, and exchanges of each account."""
SHARING: Final = 0.3
"""Share of a campaign's accounts that use one of its few addresses or cards; about `LOT` accounts each."""
LOT: Final = 12

TOOLS: Final = 200
CLIENTS: Final = 4_000
PUBLIC_TEMPLATES: Final = 300
SHARED_EGRESS: Final = 20_000


def drawn(salt: int, *numbers: Ints | int) -> U64:
    """A hash of whole numbers, 64 uniform bits each."""
    state = mix(np.atleast_1d(np.uint64(salt * 0x9E3779B97F4A7C15 % 2**64)))
    for number in numbers:
        state = mix(state ^ mix(np.atleast_1d(number).astype(np.uint64) + np.uint64(salt)))
    return state


def uniform(salt: int, *numbers: Ints | int) -> F64:
    """The same as a number from 0 up to 1."""
    return np.asarray((drawn(salt, *numbers) >> np.uint64(11)) * 2.0**-53)


def below(limit: int, salt: int, *numbers: Ints | int) -> I64:
    return (uniform(salt, *numbers) * limit).astype(np.int64)


def zipf(limit: int, salt: int, *numbers: Ints | int) -> I64:
    """Ranks below ``limit`` with probability as 1 over the rank."""
    return np.asarray(float(limit + 1) ** uniform(salt, *numbers), np.float64).astype(np.int64) - 1


@dataclass(frozen=True, slots=True)
class Cast:
    """Accounts by number. ``group`` (accounts,): which tool, public template, office or campaign; 0 elsewhere.

    ``volume``: exchanges of each; ``client``: program of each; ``place``: its first address, an index into
    ``addresses``, whose last `SHARED_EGRESS` are of mobile operators and proxies; ``names``: account ids.
    """

    population: npt.NDArray[np.int8]
    group: npt.NDArray[np.int32]
    volume: npt.NDArray[np.int32]
    client: npt.NDArray[np.int32]
    place: npt.NDArray[np.int32]
    addresses: pa.StringArray
    names: pa.StringArray


def make_cast(accounts: int, exchanges: int, seed: int) -> Cast:
    """Accounts for a world of about ``exchanges`` exchanges. Raises `ValueError` when campaigns alone exceed them."""
    rng = np.random.default_rng(seed)
    population, group, volume = _population(accounts, exchanges, rng)
    number = np.arange(accounts)
    client = zipf(CLIENTS, 21, number).astype(np.int32)
    scripted = np.isin(population, (TOOL, CAMPAIGN))
    # A tool is one program, or one of its few versions; a campaign runs some six, which others run too.
    versions = np.where(population == CAMPAIGN, 6, 3)
    program = (drawn(22, group, population, below(1 << 30, 23, number) % versions) % np.uint64(400)).astype(np.int32)
    client[scripted] = program[scripted] + 20
    place = number.astype(np.int32)
    office = population == OFFICE
    firsts = np.full(int(group.max(initial=0)) + 1, -1, np.int32)
    firsts[group[office][::-1]] = number[office][::-1]
    place[office] = firsts[group[office]]
    lot = _lots(population, number, 24)
    place[lot >= 0] = number[lot[lot >= 0]]
    names = pc.binary_join_element_wise(pa.scalar("acct-"), hexed(drawn(25, number)), "")
    return Cast(population, group, volume, client, place, _addresses(accounts + SHARED_EGRESS), names)


def account_table(cast: Cast, agents: pa.StringArray, prints: pa.StringArray) -> pa.Table:
    """The platform's accounts table."""
    number = np.arange(len(cast.population))
    campaign = cast.population == CAMPAIGN
    age = np.where(campaign, below(14, 31, number), below(720, 32, number))
    created = START_US - age * DAY + below(DAY, 33, number) - DAY
    card = np.where(_lots(cast.population, number, 34) >= 0, _lots(cast.population, number, 34), number)
    card = np.where(uniform(35, number) < 0.04, number - number % 2, card)
    domains = pc.binary_join_element_wise(pa.scalar("mail-"), text(zipf(30_000, 36, number)), pa.scalar(".example"), "")
    plan = pa.array(["free", "pay_as_you_go", "subscription", "team"]).take(pa.array(zipf(4, 37, number)))
    organization = pc.binary_join_element_wise(pa.scalar("org-"), text(cast.group), "")
    declares = (cast.population == OFFICE) & (uniform(38, number) < 0.4)
    columns = {
        "account_id": cast.names,
        "organization_id": pc.if_else(pa.array(declares), organization, pa.scalar(None, pa.string())),
        "created_at": pa.array(created).cast(pa.timestamp("us", "UTC")),
        "plan": plan,
        "email_domain": domains,
        "email_hash": hexed(drawn(39, number)),
        "phone_hash": _some(hexed(drawn(40, number)), uniform(41, number) < 0.6),
        "payment_hash": _some(hexed(drawn(42, card)), campaign | (uniform(43, number) < 0.45)),
        "signup_address": cast.addresses.take(pa.array(cast.place)),
        "signup_user_agent": agents.take(pa.array(cast.client)),
        "signup_tls_fingerprint": prints.take(pa.array(cast.client)),
    }
    return pa.table(columns, schema=pa.schema([f for f in ACCOUNT_SCHEMA if f.name in columns]))


def hexed(values: U64) -> pa.StringArray:
    """Each value as 16 hexadecimal digits."""
    nibbles = (values[:, None] >> np.arange(60, -4, -4, dtype=np.uint64)) & np.uint64(15)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)[nibbles.astype(np.uint8)]
    offsets = np.arange(0, 16 * len(values) + 1, 16, dtype=np.int32)
    return pa.StringArray.from_buffers(len(values), pa.py_buffer(offsets), pa.py_buffer(digits.tobytes()))


def text(values: Ints) -> pa.StringArray:
    """Each whole number as text."""
    return pa.array(values).cast(pa.string())


def _population(accounts: int, exchanges: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    scale = accounts / 1_000_000
    population = rng.choice(len(SHARES), accounts, p=SHARES).astype(np.int8)
    group = np.zeros(accounts, np.int32)
    volume = np.zeros(accounts, np.int32)
    order, begin = rng.permutation(accounts), 0
    for number, (members, each) in enumerate(CAMPAIGNS):
        chosen = order[begin : begin + max(40, round(members * scale))]
        population[chosen], group[chosen], volume[chosen] = CAMPAIGN, number, each
        begin += len(chosen)
    everyone = np.arange(accounts)
    for kind, groups in ((TOOL, TOOLS), (TEMPLATE, PUBLIC_TEMPLATES)):
        group[population == kind] = zipf(groups, 11 + kind, everyone)[population == kind]
    office = np.flatnonzero(population == OFFICE)
    sizes = np.floor(2 * 200.0 ** rng.random(len(office))).astype(np.int64)
    group[office] = np.searchsorted(np.cumsum(sizes), np.arange(len(office)), side="right")
    honest = population != CAMPAIGN
    spare = exchanges - int(volume.sum()) - int(honest.sum())
    if spare < 0:
        raise ValueError(f"{exchanges} exchanges are too few for {accounts} accounts: give at least 5 for each")
    weight = rng.lognormal(0, 1.4, int(honest.sum()))
    # Nobody sends more than a few hundred times the usual.
    weight = np.minimum(weight, 300)
    volume[honest] = 1 + rng.multinomial(spare, weight / weight.sum())
    return population, group, volume


def _lots(population: npt.NDArray[np.int8], number: I64, salt: int) -> I64:
    """For accounts of campaigns that share a thing, the account whose it is; -1 for all others."""
    campaign = np.flatnonzero(population == CAMPAIGN)
    sharing = campaign[uniform(salt, campaign) < SHARING]
    sharing = sharing[np.argsort(drawn(salt + 100, sharing))]
    owner = np.full(len(number), -1, np.int64)
    owner[sharing] = sharing[np.arange(len(sharing)) // LOT * LOT]
    return owner


def _addresses(count: int) -> pa.StringArray:
    """Distinct addresses, three in ten of them IPv6."""
    number = np.arange(count)
    bits = drawn(51, number)
    # A bijection of 32 bits: distinct numbers give distinct IPv4 addresses.
    four = (number * 2_654_435_761 + 12_345) % 2**32
    octets = text(np.arange(256))
    hextets = pa.array([f"{value:x}" for value in range(65_536)])
    parts = [octets.take(pa.array((four >> shift) & 255)) for shift in (24, 16, 8, 0)]
    shifts = (0, 16, 32)
    six = [hextets.take(pa.array(((bits >> np.uint64(by)) & np.uint64(65_535)).astype(np.int64))) for by in shifts]
    return pc.if_else(
        pa.array(uniform(52, number) < 0.3),
        pc.binary_join_element_wise(pa.scalar("2a02"), *six[:2], pa.scalar(""), six[2], ":"),
        pc.binary_join_element_wise(*parts, "."),
    )


def _some(values: pa.Array, kept: npt.NDArray[np.bool_]) -> pa.Array:
    return pc.if_else(pa.array(kept), values, pa.scalar(None, pa.string()))
