# PYTHON_ARGCOMPLETE_OK
"""The command ``cdn-manager``. Its command line is public; this package is not.

``--help`` and shell completion answer at once, because modules that are slow to import are only imported to run a
command.
"""

import gc
import os
import signal
import sys
from argparse import Namespace

from cdn_cli.arguments import options_first
from cdn_cli.completion import complete
from cdn_cli.console import (
    FAILED,
    USAGE,
    UsageError,
    complain,
    complain_about_output,
    flush,
    reason_of,
    status_of_signal,
)
from cdn_cli.parser import build_parser, valued_options

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The command line without the program's name; by default that of the process.

    Returns:
        The exit status.
    """
    gc.disable()  # until `open_manager`: what is imported stays
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the parent process; print would use the other one in its place
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    try:
        status = _run(_parse(arguments))
    except SystemExit as ended:  # argparse: --help, --version or a usage error
        status = ended.code if isinstance(ended.code, int) else FAILED
    except OSError as error:  # of the output of --version
        complain_about_output(error)
        status = FAILED
    finally:
        gc.enable()
    return flush(status)


def _parse(arguments: list[str] | None) -> Namespace:
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:
        complete(parser)
    given = sys.argv[1:] if arguments is None else arguments
    return parser.parse_args(options_first(given, valued_options(parser)))


def _run(options: Namespace) -> int:
    from cdn_cli.log_file import logging_to, record

    if reconfigure := getattr(sys.stdout, "reconfigure", None):  # a StringIO has none
        reconfigure(errors="backslashreplace")  # as stderr does: a key may contain what the encoding lacks
    try:
        with logging_to(options.log_file, options.command):
            status = _carry_out(options)
            record({"event": "ended", "status": status})
            return status
    except UsageError as error:  # the log file cannot be written
        complain(error.args[0])
        return USAGE


def _carry_out(options: Namespace) -> int:
    from cdn_cli.log_file import record

    try:
        import cdn_engine  # noqa: F401 - first, because it reports a foreign module `constants` in one sentence

        status: int = options.run(options)
        return status
    except UsageError as error:
        for problem in error.args:
            complain(problem)
            record({"event": "error", "reason": problem})
        return USAGE
    except KeyboardInterrupt as error:
        complain("interrupted")
        return status_of_signal(error.args[0] if error.args else signal.SIGINT)
    except BrokenPipeError:
        return FAILED  # whoever read our output has gone
    except Exception as error:
        complain(error, traceback=options.verbose)
        record({"event": "error", "reason": reason_of(error)})
        return FAILED
