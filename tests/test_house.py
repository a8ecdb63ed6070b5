"""The house in order: style, types, floors, and documents that say what is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",), ("lint-imports",)],
    ids=lambda command: "-".join(command[:2]).strip("-."),
)
def test_tool_has_no_complaint(command: tuple[str, ...]) -> None:
    name, *rest = command
    done = subprocess.run([TOOLS / name, *rest], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_readme_shows_the_help_as_it_is() -> None:
    environment = os.environ | {"COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-m", "tiergate", "--help"], capture_output=True, text=True, env=environment, check=True
    )
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"```console\n\$ tiergate --help\n(.*?)```", readme, re.DOTALL)
    assert shown is not None
    assert shown[1].split() == done.stdout.split()


def test_every_command_in_the_documents_exists() -> None:
    from typer.main import get_command

    from tiergate.cli import app

    top = get_command(app).commands  # type: ignore[attr-defined]
    known = {name: set(getattr(command, "commands", {})) for name, command in top.items()}
    for document in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        for command, below in re.findall(r"^tiergate (\w+)(?: ([a-z][a-z-]*))?", text, re.MULTILINE):
            assert command in known, f"{document} names `tiergate {command}`"
            assert not known[command] or below in known[command], f"{document}: `tiergate {command} {below}`"


def test_architecture_names_every_folder_of_the_package() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    folders = [path.parent for path in (ROOT / "src" / "tiergate").glob("*/__init__.py")]
    assert len(folders) > 5
    assert [folder.name for folder in folders if f" {folder.name}/ " not in text] == []


def test_no_module_outgrows_its_reader() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in ROOT.glob("src/**/*.py")}
    assert {str(path): length for path, length in lengths.items() if length > 450} == {}
