"""A dossier as one HTML file that needs no network."""

from __future__ import annotations

from pathlib import Path

from tiergate.cli.terminal import visible
from tiergate.errors import SettingsError
from tiergate.response.dossier.document import Document


def write_html(document: Document, drawn: dict[str, str], out: Path) -> None:
    """Write ``out``. Raises `SettingsError` when the extra `dossier` is not installed."""
    try:
        import jinja2

        from tiergate.cli.dossier.glyphs import through
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"a dossier needs `{error.name}`, which is not installed: run `pip install 'tiergate[dossier]'`"
        ) from error
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tiergate.cli.dossier", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("dossier.html.j2").render(document=through(document, visible), drawn=drawn)
    out.write_text(page, encoding="utf-8")
