"""A dossier as a PDF: text that can be searched, fonts embedded, bookmarks, page numbers, tagged for screen readers."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path

import msgspec

from tiergate.cli.report.palette import printed
from tiergate.errors import SettingsError
from tiergate.response.dossier.document import Document

TEMPLATE = "dossier.typ"


def write_pdf(document: Document, drawn: dict[str, str], out: Path, written_at_us: int) -> None:
    """Write ``out``; the same document gives the same bytes. Raises `SettingsError` without the extra `dossier`."""
    try:
        import typst

        from tiergate.cli.dossier.glyphs import font_folder, legible, through
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"a dossier in PDF needs `{error.name}`, which is not installed: run `pip install 'tiergate[dossier]'`"
        ) from error
    with tempfile.TemporaryDirectory(prefix="tiergate-dossier-") as name, as_file(files(__package__)) as here:
        folder = Path(name)
        for picture, svg in drawn.items():
            (folder / f"{picture}.svg").write_text(printed(svg), encoding="utf-8")
        written = datetime.fromtimestamp(written_at_us / 1e6, UTC)
        given = {
            "document": msgspec.to_builtins(through(document, legible)),
            "drawn": sorted(drawn),
            "written": written.isoformat(),
        }
        (folder / "dossier.json").write_bytes(msgspec.json.encode(given))
        (folder / TEMPLATE).write_bytes((here / TEMPLATE).read_bytes())
        # Fonts are ours alone, so that the same document looks the same on every machine.
        pdf = typst.compile(
            str(folder / TEMPLATE),
            root=str(folder),
            font_paths=[str(font_folder())],
            ignore_system_fonts=True,
            pdf_standards=["a-2a"],
        )
    out.write_bytes(pdf)
