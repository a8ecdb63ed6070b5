"""What pages say stands in one place, and all of it is used."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import tiergate.console

FOLDER = Path(tiergate.console.__file__).parent
TEMPLATES = sorted((FOLDER / "templates").rglob("*.j2"))


def test_templates_have_no_words_of_their_own() -> None:
    for path in TEMPLATES:
        text = re.sub(
            r"\{[#%{].*?[#%}]\}|<script.*?</script>|<kbd>.*?</kbd>", "", path.read_text("utf-8"), flags=re.DOTALL
        )
        said = re.sub(r"<[^>]*>|&\w+;", " ", text.replace("<!doctype html>", ""), flags=re.DOTALL)
        assert re.findall(r"[A-Za-z]{2,}", said) == [], path.name


def test_every_string_is_used() -> None:
    used = "\n".join(path.read_text("utf-8") for path in [*TEMPLATES, *FOLDER.rglob("*.py")])
    words, indexed = set(re.findall(r"\w+", used)), set(re.findall(r"(\w+)\[", used))
    unused = []
    for path in (FOLDER / "strings").glob("*.toml"):
        for name in _names(tomllib.loads(path.read_text("utf-8"))):
            table, _, own = name.rpartition(".")
            # One of a table whose strings are asked for by a value, as those of states are.
            if table.rpartition(".")[2] not in indexed and own not in words:
                unused.append(f"{path.stem}.{name}")
    assert unused == []


def _names(held: dict[str, object], before: str = "") -> list[str]:
    names: list[str] = []
    for name, value in held.items():
        names += _names(value, f"{before}{name}.") if isinstance(value, dict) else [before + name]
    return names
