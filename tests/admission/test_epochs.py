"""Whether facts are the present ones: counted by a clock of the test's, and across two real processes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tiergate.admission.epochs import POLL_S, STALE_AFTER_S, Counters, EpochFeed
from tiergate.database import open_database
from tiergate.parties.registry import Registry


class Fake:
    """Counters and a clock that the test sets."""

    def __init__(self) -> None:
        self.counters: Counters = (1, 1)
        self.now_s = 100.0
        self.broken = False
        self.takes_s = 0.0
        self.feed = EpochFeed(self.read, lambda: self.now_s)

    def read(self) -> Counters:
        if self.broken:
            raise OSError("the database is gone")
        counters = self.counters
        self.now_s += self.takes_s
        return counters


def hear(fake: Fake) -> None:
    fake.feed.in_force(fake.feed.ask())


def test_nothing_heard_is_not_current() -> None:
    fake = Fake()
    assert not fake.feed.is_current()
    reading = fake.feed.ask()
    assert fake.feed.is_news(reading)
    # Read, but not yet loaded: what is served is not of this reading.
    assert not fake.feed.is_current()
    fake.feed.in_force(reading)
    assert fake.feed.is_current()


def test_an_epoch_is_a_change_in_force() -> None:
    fake = Fake()
    hear(fake)
    hear(fake)
    assert fake.feed.epoch == 1
    fake.counters = (1, 2)
    assert fake.feed.is_news(fake.feed.ask())
    assert fake.feed.epoch == 1
    hear(fake)
    assert fake.feed.epoch == 2
    assert not fake.feed.is_news(fake.feed.ask())
    # A restored backup counts lower, and is news.
    fake.counters = (1, 1)
    hear(fake)
    assert fake.feed.epoch == 3


def test_silence_closes_after_the_bound_and_hearing_opens_again() -> None:
    fake = Fake()
    hear(fake)
    fake.broken = True
    for _ in range(10):
        fake.now_s += STALE_AFTER_S / 10
        with pytest.raises(OSError, match="gone"):
            fake.feed.ask()
    assert fake.feed.is_current()
    fake.now_s += 0.001
    assert not fake.feed.is_current()
    fake.broken = False
    hear(fake)
    assert fake.feed.is_current()
    assert fake.feed.epoch == 1


def test_a_slow_reading_is_as_old_as_its_beginning() -> None:
    fake = Fake()
    fake.takes_s = STALE_AFTER_S + 1
    reading = fake.feed.ask()
    fake.feed.in_force(reading)
    assert not fake.feed.is_current()


WRITER = """
import sys
from pathlib import Path
from tiergate.database import open_database
from tiergate.parties.registry import Registry
registry = Registry(open_database(Path(sys.argv[1])), b"p" * 32)
for line in sys.stdin:
    registry.revoke_key(line.strip(), 1)
"""


def test_a_change_by_another_process_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "control.sqlite"
    engine = open_database(path)
    registry = Registry(engine, b"p" * 32)
    registry.add_account({"account_id": "a", "created_at": 0})
    for _ in range(12):
        registry.issue_key("a", "x", 0)
    ids = sorted(credential.credential_id for credential in registry.credentials().values())
    feed = EpochFeed(lambda: (registry.version(),), time.monotonic)
    feed.in_force(feed.ask())
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        for credential_id in ids:
            epoch = feed.epoch
            writer.stdin.write(f"{credential_id}\n")
            writer.stdin.flush()
            give_up = time.monotonic() + 30
            while feed.epoch == epoch:
                assert time.monotonic() < give_up
                time.sleep(POLL_S)
                reading = feed.ask()
                if feed.is_news(reading):
                    revoked = {c.credential_id for c in registry.credentials().values() if c.revoked_at is not None}
                    feed.in_force(reading)
            assert credential_id in revoked
        writer.stdin.close()
    assert writer.returncode == 0
    engine.dispose()
