"""The command line. Commands import what they need when they run, so that `--help` answers at once."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer

from tiergate.cli.commands import Commands
from tiergate.cli.terminal import note, say
from tiergate.errors import TiergateError

INTERRUPTED = 130
_ENDING = (signal.SIGTERM, signal.SIGINT)

app = typer.Typer(
    name="tiergate",
    cls=Commands,
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


def main() -> NoReturn:
    """Run the command line; every error that the user can act on is one line on stderr and an exit code."""
    signal.signal(signal.SIGTERM, _stop)
    os.register_at_fork(before=_hold_signals, after_in_parent=_take_signals, after_in_child=_end_at_once)
    try:
        code = app(args=sys.argv[1:] or ["--help"], prog_name="tiergate", standalone_mode=False)
    except typer.TyperException as error:
        message = error.format_message().rstrip(".")
        context = getattr(error, "ctx", None)
        command = "tiergate" if context is None else context.command_path
        note(f"{message[:1].lower()}{message[1:]}; see `{command} --help`")
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


def _hold_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)


def _take_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


def _end_at_once() -> None:
    """Let forked workers end when their pool or Ctrl-C says so. A handler in Python runs only between two steps of
    Python, never while a worker waits for a lock that another had when it ended; and a signal that arrives while the
    process forks would be lost, hence held until here."""
    for one in _ENDING:
        signal.signal(one, signal.SIG_DFL)
    _take_signals()


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    """End as on Ctrl-C, so that whatever a command has open is closed and its children end with it."""
    raise KeyboardInterrupt
