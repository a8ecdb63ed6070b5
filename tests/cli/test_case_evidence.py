"""From a gateway's data folder to evidence and dossiers, by the commands that people type."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from tests.response.evidence.conftest import Deployment, deployment

__all__ = ["deployment"]

Run = Callable[..., CompletedProcess[str]]


def test_a_case_is_exported_verified_and_written_up(deployment: Deployment, run_tiergate: Run, tmp_path: Path) -> None:
    case, data = deployment.file.case_id[:13], tmp_path / "data"
    shutil.copytree(deployment.data, data)
    shown = run_tiergate("case", "show", case, "--data", "data")
    assert shown.returncode == 0, shown.stderr
    assert "workload" in shown.stdout
    assert "no say either way" in shown.stdout
    done = run_tiergate("case", "export", case, "--data", "data", "--out", "out/case.tar", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["digest"] == deployment.file.found.digest
    bundle = (tmp_path / "out" / "case.tar").rename(tmp_path / "elsewhere.tar")
    shutil.rmtree(tmp_path / "out")
    held = run_tiergate("case", "verify", bundle.name)
    assert (held.returncode, held.stdout.splitlines()[0]) == (
        0,
        f"holds: {deployment.file.case_id} came out again, byte for byte",
    )
    assert deployment.file.found.digest in held.stdout
    raw = bytearray(bundle.read_bytes())
    raw[-4000] ^= 1
    bundle.write_bytes(raw)
    changed = run_tiergate("case", "verify", bundle.name, "--json")
    assert changed.returncode in (1, 2)
    assert changed.returncode == 2 or json.loads(changed.stdout)["wrong"]
    done = run_tiergate(
        "case", "dossier", case, "--data", "data", "--out", "case.pdf", "--author", "ann", "--seed", "3"
    )
    assert (done.returncode, done.stdout) == (0, "case.pdf\n"), done.stderr
    assert (tmp_path / "case.pdf").read_bytes().startswith(b"%PDF-")
    again = run_tiergate("case", "export", case, "--data", "data", "--out", bundle.name)
    assert (again.returncode, "never written over" in again.stderr) == (2, True)


def test_what_cannot_be_done_is_said_in_a_line(run_tiergate: Run) -> None:
    for arguments, said in (
        (("dossier", "case_0", "--data", "data", "--out", "case.docx"), "neither a page nor a PDF"),
        (("verify", "nowhere.tar"), "cannot read"),
    ):
        done = run_tiergate("case", *arguments)
        assert (done.returncode, said in done.stderr, done.stdout) == (2, True, "")
