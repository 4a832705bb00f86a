"""The command line of ``completion``."""

from argparse import ArgumentParser
from collections.abc import Callable

from cdn_cli.parser.command import add_command

__all__ = ["add"]

_DESCRIPTION = """\
Print what a shell has to run to complete commands, options and file names. Put
the line into the file that your shell reads when it starts:

  ~/.bashrc                    eval "$(cdn-manager completion bash)"
  ~/.zshrc, after compinit     eval "$(cdn-manager completion zsh)"
  ~/.config/fish/config.fish   cdn-manager completion fish | source"""


def add(add_parser: Callable[..., ArgumentParser]) -> None:
    """Add the command."""
    completion = add_command(
        add_parser, "completion", "print a shell's completion", "% {bash,zsh,fish}", _DESCRIPTION
    )
    completion.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")
