"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("tiergate", deadline=None)  # how fast a busy machine is decides no test
settings.load_profile("tiergate")
# A console beside each gateway that a test starts would cost more than the gateway; tests that want one say so.
os.environ.setdefault("TIERGATE_CONSOLE", "false")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect, and say so, what needs the data collection where it is absent."""
    if SHARED_DATA.is_dir():
        return
    needing = [item for item in items if item.get_closest_marker("shared_data")]
    if needing:
        items[:] = [item for item in items if item not in needing]
        config.hook.pytest_deselected(items=needing)
        config.stash[_DESELECTED] = len(needing)


_DESELECTED = pytest.StashKey[int]()


def pytest_report_header(config: pytest.Config) -> str:
    return f"data collection: {'present' if SHARED_DATA.is_dir() else 'absent, tests that need it are deselected'}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the data collection; tests that use it carry ``@pytest.mark.shared_data``."""
    return SHARED_DATA
