"""Where commands on the decision log find it, and the key it is signed with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.verify import read_public_key

if TYPE_CHECKING:
    from tiergate.ledger.notes import PrivateKey, PublicKey

Data = Annotated[Path, typer.Option(metavar="DIR", help="The gateway's data folder, or a decision log itself.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Key = Annotated[str | None, typer.Option(metavar="KEY", help="The log's public key, or a file; default DIR's.")]
DecisionId = Annotated[str, typer.Argument(metavar="ID", help="A decision, such as 17 or worker-2/17.")]


def log_folder(data: Path) -> Path:
    """The first log of a data folder, or the log that the folder is."""
    from tiergate.ledger.decision_logs import FOLDER
    from tiergate.ledger.decision_reader import ABOUT

    return data if (data / ABOUT).exists() else data / FOLDER


def own_key(data: Path, origin: str) -> PrivateKey:
    """The deployment's key under a log's name, made if absent."""
    from tiergate.ledger.checkpoints import load_private_key
    from tiergate.ledger.decision_logs import KEY

    return load_private_key(data / KEY, origin)


def public_key(data: Path, key: str | None, origin: str) -> PublicKey | None:
    """The key that was given, else the deployment's; None where it has none, as in a copy of the log alone."""
    from tiergate.ledger.decision_logs import KEY
    from tiergate.ledger.notes import ED25519

    if key is not None:
        return read_public_key(key, kind=ED25519, name=origin)
    return own_key(data, origin).public if (data / KEY).exists() else None
