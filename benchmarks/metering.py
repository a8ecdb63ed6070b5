"""What metering costs a request: CPU of admission and settlement, and how often the database is asked.

    python -m benchmarks.metering --requests 200000

One worker in one thread, as in a gateway: a request of 1,000 bytes meets so many limits, is priced, set aside for and
settled by its usage; its charge becomes columns of the exchange log. The database is a file. Prints a table and one
JSON line; the CPU is the least of five runs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from tiergate.clock import SystemClock
from tiergate.database import open_database
from tiergate.gateway.metering.limits import MEASURES, SCOPES, Limit, Limits, Payer
from tiergate.gateway.metering.meter import Meter, Ticket
from tiergate.gateway.metering.prices import PriceTable
from tiergate.gateway.metering.shares import ShareStore
from tiergate.gateway.metering.usage import Demand, Seen
from tiergate.gateway.routing.prices import Price

AMPLE = 10**14
FOUR = (("organisation", "usd/month"), ("key", "usd/month"), ("key", "requests/minute"), ("key", "tokens/minute"))
ALL = tuple((scope, measure) for scope in SCOPES for measure in MEASURES)


def measure(which: tuple[tuple[str, str], ...], requests: int) -> dict[str, float]:
    """CPU microseconds a request, and moves in the database a thousand requests, with the limits ``which``."""
    clock, moves, least = SystemClock(), 0, float("inf")
    limits = [Limit(scope=scope, subject="*", measure=what, amount=AMPLE) for scope, what in which]  # type: ignore[arg-type]
    prices = PriceTable({"m": [Price(from_us=0, input=3_000_000, output=15_000_000)]})
    demand = Demand(input_bytes=1_000, max_output_tokens=500)
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(Path(folder) / "control.sqlite")
        store, meter = ShareStore(engine), Meter(prices, Limits(limits), clock.now_us)
        store.begin("worker", clock.now_us())
        for _ in range(5):
            began = time.process_time()
            for _ in range(requests // 5):
                payer, now_us = Payer("acct", "key_1", "acme", "red", "alice"), clock.now_us()
                while (ticket := meter.admit(payer, ("m",), demand, now_us)) is None:
                    due = meter.due()
                    moves += len(due)
                    meter.moved(due, store.move("worker", [move for _, move in due], now_us))
                assert isinstance(ticket, Ticket)
                seen = Seen(input_tokens=250, output_tokens=100, text_bytes=400, text_chars=400)
                ticket.settle(seen).columns()
            least = min(least, (time.process_time() - began) / (requests // 5))
        engine.dispose()
    return {"limits": len(which), "cpu_us": round(least * 1e6, 2), "moves_per_1000": round(1_000 * moves / requests, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200_000)
    given = parser.parse_args()
    figures = [measure(which, given.requests) for which in ((), FOUR[:1], FOUR, ALL)]
    for one in figures:
        print("{limits:3.0f} limits  {cpu_us:6.2f} us CPU a request  {moves_per_1000:.3f} moves a 1,000".format(**one))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
