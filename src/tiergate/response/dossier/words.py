"""Figures in words, the same in every part of a dossier."""

from __future__ import annotations

from datetime import UTC, datetime

MINUS = "\N{MINUS SIGN}"


def moment(time_us: int) -> str:
    """`2026-09-03 14:05:09` in UTC."""
    return f"{datetime.fromtimestamp(time_us / 1e6, UTC):%Y-%m-%d %H:%M:%S}"


def whole(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"


def counted(number: int, one: str) -> str:
    return f"{number:,} {one if number == 1 else one + 's'}"


def nats(value: float) -> str:
    """`+2.3` with a true minus sign; `0` says nothing, and has none."""
    return "0" if abs(value) < 0.05 else f"{value:+.1f}".replace("-", MINUS)


def usd(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.2f} USD"


def share(part: int, of: int) -> str:
    return f"{part / of:.1%}" if of else "none"


def probability(value: float) -> str:
    """Enough digits to tell it from certainty, which no figure here is."""
    if value > 0.999:
        return f"{min(value, 0.99999):.5f}".rstrip("0")
    return f"{value:.3f}"


def p_value(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
