"""`examples/releases.sh` in `examples/shell.py`: the walk-through of README.md, which shows its very commands."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SCRIPT = EXAMPLES / "releases.sh"

pytestmark = pytest.mark.skipif(shutil.which("sh") is None, reason="the walk-through is for a POSIX shell")


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """What the walk-through prints with a model of three small files, and what was left of it in its directory."""
    model, temporary = tmp_path_factory.mktemp("model"), tmp_path_factory.mktemp("temporary")
    (model / "model.safetensors").write_bytes(os.urandom(3_000_000))
    (model / "config.json").write_text("{}")
    (model / "sentence_bert_config.json").write_text('{"max_seq_length": 128, "do_lower_case": false}\n')
    command = [sys.executable, EXAMPLES / "shell.py", "--model", model, "sh", SCRIPT]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    ran = subprocess.run(command, env=environment, **pipes)
    assert ran.returncode == 0, ran.stdout
    return ran.stdout, os.listdir(temporary)


def shown(walk, command):
    """Return what a command of the walk-through has printed, for each time that it is run."""
    parts = walk[0].split("\n$ ")
    return [part.partition("\n")[2].strip() for part in parts if part.partition("\n")[0] == command]


def test_update_moves_the_file_that_changed_and_no_other(walk):
    assert "48 bytes sent" in shown(walk, "cdn-manager publish models model v2")[0]
    update, again = shown(walk, "cdn-manager install models v2 --into edge")
    assert "48 bytes fetched" in update
    assert "3.0 MB here before" in update
    assert again.startswith("v2 is installed already; current is now v2")


def test_rollback_brings_back_the_old_file(walk):
    new, old = shown(walk, "cat edge/current/sentence_bert_config.json")
    assert "512" in new
    assert "128" in old


def test_what_is_not_current_is_pruned_and_stays_at_the_store(walk):
    assert "removed edge/v1" in shown(walk, "cdn-manager prune edge --keep 1")[0]
    listed = shown(walk, "cdn-manager releases models")[0]
    assert re.findall(r"\bv\d$", listed, re.MULTILINE) == ["v1", "v2"]


def test_walk_through_leaves_nothing_behind(walk):
    assert walk[1] == []


def test_readme_shows_the_commands_of_the_script():
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Releases\n")[2].partition("\n## ")[0]
    typed = re.findall(r"^ *\$ (.+)$", section, re.MULTILINE)
    script = [line for line in SCRIPT.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert typed[0] == ".venv/bin/python examples/shell.py"
    assert typed[1:] == script[script.index("set -ex") + 1 :]
