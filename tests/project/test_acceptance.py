"""ACCEPTANCE.md names tests that exist, each promise once."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "ACCEPTANCE.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (?!scenario|---)(.+) \| `(\S+)::(\w+)` \|$", PAGE, re.MULTILINE)


def test_every_named_test_exists():
    defined = {path: functions_in(path) for path in {row[1] for row in ROWS}}
    assert [f"{path}::{name}" for _, path, name in ROWS if name not in defined[path]] == []


def functions_in(path):
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_row_of_the_page_is_understood():
    assert len(ROWS) == len(re.findall(r"^\| (?!scenario|---)", PAGE, re.MULTILINE)) > 100


def test_no_promise_is_listed_twice():
    scenarios = [row[0] for row in ROWS]
    assert sorted(scenarios) == sorted(set(scenarios))
