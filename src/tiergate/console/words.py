"""What pages say, in one place: a TOML file for each section in `strings/`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from typing import Any


class Words:
    """Strings by their names: `words.cases.title`, or `words("cases.title")`. Calling with values fills them in."""

    def __init__(self, held: dict[str, Any], path: str = "") -> None:
        self._held, self._path = held, path

    def __getattr__(self, name: str) -> Any:
        return self[name]

    def __getitem__(self, name: str) -> Any:
        try:
            value = self._held[name]
        except KeyError:
            # A KeyError would look to a template like a name that is not there, and be passed over.
            raise AttributeError(f"no string is called `{self._path}{name}`") from None
        return Words(value, f"{self._path}{name}.") if isinstance(value, dict) else value

    def __call__(self, path: str, /, **values: object) -> str:
        found: Any = self
        for part in path.split("."):
            found = found[part]
        assert isinstance(found, str)
        return found.format(**values) if values else found

    def get(self, name: str, otherwise: str) -> str:
        """A string that need not be there."""
        return str(self._held.get(name, otherwise))

    def __contains__(self, name: object) -> bool:
        return name in self._held

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)


def load_words() -> Words:
    """All strings, by section."""
    folder = files("tiergate.console").joinpath("strings")
    held = {
        one.name.removesuffix(".toml"): tomllib.loads(one.read_text("utf-8"))
        for one in folder.iterdir()
        if one.name.endswith(".toml")
    }
    return Words(held)
