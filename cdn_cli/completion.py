"""Completes the command line in a shell, by argcomplete."""

from argparse import Action, ArgumentParser, Namespace
from collections.abc import Iterable

from cdn_cli.console import DONE, UsageError

__all__ = ["complete", "run"]

def run(options: Namespace) -> int:
    """Print what the shell has to run."""
    try:
        import argcomplete
    except ImportError:
        raise UsageError("completion needs argcomplete: pip install argcomplete") from None
    print(argcomplete.shellcode(["cdn-manager"], use_defaults=False, shell=options.shell))
    return DONE


def complete(parser: ArgumentParser) -> None:
    """Answer the shell, which asks by way of the environment, and end the process."""
    import argcomplete

    files, folders = argcomplete.FilesCompleter(), argcomplete.DirectoriesCompleter()
    completers = {"DIR": folders, "FILE": files, "PATH": files}  # by the name of the value in the help

    def values(prefix: str, action: Action, **_: object) -> Iterable[str]:
        completer = completers.get(str(action.metavar))
        return completer(prefix=prefix) if completer else ()  # keys and buckets are not asked for

    argcomplete.autocomplete(parser, always_complete_options=False, print_suppressed=True, default_completer=values)
