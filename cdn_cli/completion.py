"""Completes the command line in a shell, by argcomplete."""

from argparse import Action, ArgumentParser, Namespace
from collections.abc import Iterable
from typing import Any

from cdn_cli.console import DONE, UsageError

__all__ = ["complete", "run"]


def run(options: Namespace) -> int:
    """Print what the shell has to run."""
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError:
        raise UsageError("completion needs argcomplete: pip install argcomplete") from None
    print(shellcode(["cdn-manager"], use_defaults=False, shell=options.shell))
    return DONE


def complete(parser: ArgumentParser) -> None:
    """Answer the shell, which asks by way of the environment, and end the process."""
    import argcomplete
    from argcomplete.completers import BaseCompleter, DirectoriesCompleter, FilesCompleter

    completers: dict[str, BaseCompleter] = {"DIR": DirectoriesCompleter()}  # by the name of the value in the help
    completers["FILE"] = completers["KEYFILE"] = completers["PATH"] = FilesCompleter()

    class Values(BaseCompleter):
        def __call__(self, *, action: Action, **asked: Any) -> Iterable[str]:
            completer = completers.get(str(action.metavar))
            return completer(action=action, **asked) if completer else ()  # neither buckets nor keys are asked for

    argcomplete.autocomplete(parser, always_complete_options=False, print_suppressed=True, default_completer=Values())
