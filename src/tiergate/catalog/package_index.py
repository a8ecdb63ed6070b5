"""Wheels of packages on a package index, fetched by pip: never built, installed, imported or run."""

from __future__ import annotations

import datetime as dt
import hashlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tiergate.errors import SettingsError, StateError

GIVE_UP_S: Final = 600


def need_pip() -> None:
    """Raises `SettingsError` where pip is not there, or too old to ask what an index had on a day."""
    if find_spec("pip") is None:
        raise SettingsError("packages are fetched by pip, which is not here: `pip install 'tiergate[refresh]'`")
    from importlib.metadata import version

    if int(version("pip").split(".")[0]) < 26:
        raise SettingsError(f"pip {version('pip')} is too old: `pip install 'tiergate[refresh]'` brings 26 or newer")


def fetch_newest(package: str, day: dt.date, folder: Path) -> Path:
    """The wheel that was the newest of ``package`` at the end of ``day``, UTC, put into ``folder``.

    Raises `StateError` with pip's own words when there is none or the index cannot be reached.
    """
    return _download([package, "--uploaded-prior-to", f"{day + dt.timedelta(days=1)}T00:00:00Z"], folder)


def fetch_version(package: str, version: str, folder: Path) -> Path:
    """The wheel of one version. Raises `StateError` as above."""
    return _download([f"{package}=={version}"], folder)


def version_of(wheel: Path) -> str:
    """`litellm-1.83.14-py3-none-any.whl` -> `1.83.14`."""
    return wheel.name.split("-")[1]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _download(asked: list[str], folder: Path) -> Path:
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir",
        "--disable-pip-version-check", "--no-input", "--quiet", "--dest", str(folder), *asked,
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIVE_UP_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise StateError(
            f"pip did not fetch `{asked[0]}` within {GIVE_UP_S} s: try again", code="not_fetched"
        ) from None
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = next((line for line in reversed(done.stderr.splitlines()) if line.startswith("ERROR")), "no wheel came")
        raise StateError(f"pip could not fetch `{' '.join(asked)}`: {said.removeprefix('ERROR: ')}", code="not_fetched")
    return wheels[0]
