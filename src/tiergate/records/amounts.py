"""Amounts of money as people type them."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, localcontext

from tiergate.errors import InputError


def micro_usd(amount: str) -> int:
    """Dollars as they are typed (`2500`, `0.000001`, `1,000`), as whole micro-dollars. Raises `InputError`."""
    try:
        # Nothing is rounded: an amount with more digits than are kept is no amount.
        with localcontext(Context(prec=40, traps=[Inexact, InvalidOperation, Overflow])):
            micro = Decimal(amount.replace(",", "").removeprefix("$")) * 1_000_000
            if micro == micro.to_integral_value():
                return int(micro)
    except (ArithmeticError, ValueError):
        pass
    raise InputError(f"`{amount}` is no amount of dollars with at most six decimals")
