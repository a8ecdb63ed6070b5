"""The command line. Commands import what they need when they run, so that `--help` answers at once."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from types import FrameType
from typing import Annotated, NoReturn

import typer

from tiergate.cli import demo, detect, importing, keys, redteam, respond, serve, simulate
from tiergate.cli.terminal import note, say
from tiergate.errors import TiergateError

INTERRUPTED = 130

app = typer.Typer(
    name="tiergate",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failure, 2 bad input or usage, 130 interrupted.",
)


def _version(wanted: bool) -> None:
    if wanted:
        import tiergate

        say(f"tiergate {tiergate.__version__}")
        raise typer.Exit


@app.callback()
def _tiergate(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Access control for AI models: a gateway that records, and a detector that finds coordinated accounts.

    \b
    Example:
      tiergate demo --no-serve
    """


app.command("demo")(demo.demo)
app.command("serve")(serve.serve)
app.command("detect")(detect.detect)
app.command("import")(importing.import_)
app.command("simulate")(simulate.simulate)
app.command("redteam")(redteam.redteam)
app.add_typer(keys.app, name="keys")
app.add_typer(respond.app, name="respond")


def main() -> NoReturn:
    """Run the command line; every error that the user can act on is one line on stderr and an exit code."""
    signal.signal(signal.SIGTERM, partial(_stop, os.getpid()))
    os.register_at_fork(after_in_child=_end_at_once)
    try:
        code = app(args=sys.argv[1:] or ["--help"], prog_name="tiergate", standalone_mode=False)
    except typer.TyperException as error:
        message = error.format_message().rstrip(".")
        note(f"{message[:1].lower()}{message[1:]}; see `tiergate --help`")
        sys.exit(2)
    except TiergateError as error:
        note(str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        if error.filename is None:
            raise
        note(f"cannot use `{error.filename}`: {error.strerror}")
        sys.exit(1)
    except Exception as error:
        # A fault of ours: the trace is for whoever mends it, not for the user's screen.
        if "TIERGATE_TRACEBACK" in os.environ:
            raise
        note(f"internal error: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
        note("set TIERGATE_TRACEBACK=1 to see where, and please report it")
        sys.exit(1)
    except (KeyboardInterrupt, typer.Abort):
        note("interrupted")
        sys.exit(INTERRUPTED)
    if code == INTERRUPTED:
        note("interrupted")
    sys.exit(code if isinstance(code, int) else 0)


def _end_at_once() -> None:
    """Let forked workers end when their pool or Ctrl-C says so: a handler in Python would run only after a lock is had
    that a worker which ended before may hold forever."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _stop(command: int, _signal: int, _frame: FrameType | None) -> NoReturn:
    """End as on Ctrl-C, so that whatever a command has open is closed and its children end with it."""
    if os.getpid() != command:
        # A worker that was told to end before `_end_at_once` ran.
        os._exit(INTERRUPTED)
    raise KeyboardInterrupt
