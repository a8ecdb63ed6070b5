"""From `results.json` to table.md and plots."""

from __future__ import annotations

from pathlib import Path

import msgspec
from benchmarks.detection import plots, tables
from benchmarks.detection.results import Results


def write_report(out: str) -> list[str]:
    """Write table.md and the plots beside `results.json` in the folder ``out``. Returns the names of the files."""
    folder = Path(out)
    results = msgspec.json.decode((folder / "results.json").read_bytes(), type=Results)
    drawn = {name: draw(results) for name, draw in plots.PLOTS.items()}
    made = {name: svg for name, svg in drawn.items() if svg is not None}
    text = tables.page(results, plots=list(made))
    for name, content in {**made, "table.md": text}.items():
        half = folder / f"{name}.part"
        half.write_text(content, encoding="utf-8")
        half.replace(folder / name)
    return sorted([*made, "table.md"])
