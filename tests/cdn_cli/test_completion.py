"""Tests the completion in real shells: what Tab offers."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import PROGRAM, run

pytestmark = pytest.mark.skipif(os.name == "nt", reason="these shells are at home on POSIX")

# What bash does when Tab is pressed at the end of the line that is its argument.
BASH = """\
eval "$(cdn-manager completion bash)"
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9
_python_argcomplete cdn-manager
printf '%s\\n' "${COMPREPLY[@]}"
"""

FISH = "cdn-manager completion fish | source; complete -C $argv[1]"

# What bash and zsh read when they start on a terminal. Ctrl-T ends them, and tells what Tab has made of the line.
STARTS = {
    "bash": """\
eval "$(cdn-manager completion bash)"
tell() { printf %s "$READLINE_LINE" >line; exit; }
bind -x '"\\C-t": tell'
echo READY
""",
    "zsh": """\
autoload -Uz compinit && compinit -u -D
eval "$(cdn-manager completion zsh)"
tell() { print -rn -- "$BUFFER" >line; exit }
zle -N tell
bindkey '^T' tell
print READY
""",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with a file and a folder in it. The user's own settings do not matter there."""
    monkeypatch.setenv("PATH", f"{Path(PROGRAM).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ZDOTDIR", str(tmp_path))
    folder = tmp_path / "work"
    (folder / "release").mkdir(parents=True)
    (folder / "relay.bin").touch()
    monkeypatch.chdir(folder)
    return folder


def installed(shell):
    """Return where a shell is; skip the test on a machine without it."""
    return shutil.which(shell) or pytest.skip(f"{shell} is not installed")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cdn-manager up", {"upload"}),
        ("cdn-manager upload models --no-o", {"--no-overwrite"}),
        ("cdn-manager upload models --conf", {"--config"}),
        ("cdn-manager upload models ", {"relay.bin", "release/"}),  # no options, until a - is there
        ("cdn-manager upload models rel", {"relay.bin", "release/"}),
        ("cdn-manager check --config rel", {"relay.bin", "release/"}),
        ("cdn-manager download models key --into rel", {"release/"}),
        ("cdn-manager completion b", {"bash"}),
        ("cdn-manager upload rel", set()),  # a bucket is no file
    ],
)
@pytest.mark.parametrize(
    "command", [["bash", "--norc", "-c", BASH, "bash"], ["fish", "--no-config", "-c", FISH]], ids=["bash", "fish"]
)
def test_bash_and_fish_offer_what_fits(folder, command, line, expected):
    answer = subprocess.check_output([installed(command[0]), *command[1:], line], text=True)
    assert {offer.partition("\t")[0].strip() for offer in answer.splitlines()} - {""} == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cdn-manager up", "cdn-manager upload "),
        ("cdn-manager upload models rela", "cdn-manager upload models relay.bin "),
        ("cdn-manager download models key --into rel", "cdn-manager download models key --into release/"),
        ("cdn-manager upload rela", "cdn-manager upload rela"),  # a bucket is no file
    ],
)
@pytest.mark.parametrize("shell", STARTS)
def test_tab_completes_on_a_terminal(folder, tmp_path, shell, line, expected):
    import pty

    program = installed(shell)
    start = tmp_path / ".zshrc"
    start.write_text(STARTS[shell])
    process, terminal = pty.fork()
    if not process:
        os.execl(program, shell, *(["--rcfile", start] if shell == "bash" else []), "-i")
    written = b""
    while b"READY" not in written:
        written += os.read(terminal, 1024)
    os.write(terminal, f"{line}\t\x14".encode())
    with contextlib.suppress(OSError):  # it has ended
        while os.read(terminal, 1024):
            pass
    os.close(terminal)
    os.waitpid(process, 0)
    assert (folder / "line").read_text() == expected


def test_without_argcomplete_the_command_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    assert run("completion", "bash") == 2
    assert capsys.readouterr().err == "cdn-manager: completion needs argcomplete: pip install argcomplete\n"
