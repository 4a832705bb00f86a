"""The storeys: each package imports only what is below it, and no file outgrows a reader."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# From the bottom up. A storey may import itself and what comes before it.
STOREYS = ["constants", "cdn_engine", "cdn_manager", "cdn_config", "cdn_release", "cdn_cli"]

# The same within the engine.
ENGINE = [
    ["cdn_engine", "cdn_engine._disk", "cdn_engine.errors", "cdn_engine.result", "cdn_engine.paths",
     "cdn_engine.threads", "cdn_engine.shared_state", "cdn_engine.host", "cdn_engine.log", "cdn_engine.network_errors",
     "cdn_engine.records", "cdn_engine.sha256", "cdn_engine.file_lock", "cdn_engine.budget", "cdn_engine.meter",
     "cdn_engine.tuner"],
    ["cdn_engine.wire"],
    ["cdn_engine.download", "cdn_engine.upload"],
    ["cdn_engine.clients"],
    ["cdn_engine.from_url"],
]  # fmt: skip

MAX_LINES = 300


def sources(storey):
    if (ROOT / storey).is_dir():
        return sorted(path for path in (ROOT / storey).rglob("*.py") if "__pyinstaller" not in path.parts)
    return [ROOT / f"{storey}.pyx"]


def imports(path):
    """Yield the names of the modules of ours that a source file imports."""
    if path.suffix == ".pyx":
        # Only import lines are looked at: the rest of Cython is not Python's grammar.
        text = path.read_text(encoding="utf-8").replace("(\n", "(")
        lines = [line for line in text.splitlines() if line.startswith(("import ", "from ")) and "cimport" not in line]
        tree = ast.parse("\n".join(line.split("(")[0] + "x" if "(" in line else line for line in lines))
    else:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            assert node.level == 0, f"{path}: a relative import"
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def ours(name):
    return name.split(".")[0] in STOREYS


@pytest.mark.parametrize("storey", STOREYS)
def test_storey_imports_only_what_is_below_it(storey):
    allowed = set(STOREYS[: STOREYS.index(storey) + 1])
    found = {path.name: {name for name in imports(path) if ours(name)} for path in sources(storey)}
    assert any(found.values()) or storey == "constants"
    for file, names in found.items():
        assert {name.split(".")[0] for name in names} <= allowed, file


def room_of(name):
    """Return the index in ``ENGINE`` of the room that a module of the engine belongs to."""
    rooms = [
        (len(room), level) for level, group in enumerate(ENGINE) for room in group
        if name == room or name.startswith(f"{room}.")
    ]  # fmt: skip
    return max(rooms)[1]


def test_rooms_of_the_engine_import_only_what_is_below_them():
    for path in sources("cdn_engine"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for name in filter(ours, imports(path)):
            if name.startswith("cdn_engine"):
                assert room_of(name) <= room_of(module), f"{module} imports {name}"


def test_downloads_and_uploads_do_not_know_each_other():
    for room, other in (("download", "upload"), ("upload", "download")):
        for path in (ROOT / "cdn_engine" / room).rglob("*.py"):
            assert not any(name.startswith(f"cdn_engine.{other}") for name in imports(path)), path


@pytest.mark.parametrize("storey", [storey for storey in STOREYS if (ROOT / storey).is_dir()])
def test_no_two_modules_import_each_other(storey):
    paths = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
             for path in sources(storey)}  # fmt: skip
    graph = {}
    for module, path in paths.items():
        names = {name if name in paths else name.rpartition(".")[0] for name in imports(path)}
        graph[module] = names & paths.keys()
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


def test_check_finds_an_import_that_goes_up(tmp_path):
    source = tmp_path / "source.py"
    source.write_text("def late():\n    from cdn_manager import CDNManager\n")
    assert list(imports(source)) == ["cdn_manager.CDNManager"]


@pytest.mark.parametrize("storey", STOREYS)
def test_no_file_is_longer_than_a_reader_can_hold(storey):
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in sources(storey)}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_every_module_opens_with_a_sentence_that_says_what_it_is_for():
    for storey in STOREYS:
        for path in sources(storey):
            if path.suffix == ".py":
                assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


def test_every_line_of_the_log_is_escaped():
    """Only ``cdn_engine.log`` writes to the application's log, and escapes what it writes."""
    for storey in set(STOREYS) - {"constants"}:
        for path in sources(storey):
            if path.name not in ("log.py", "__init__.py"):
                assert not {name for name in imports(path) if name.split(".")[0] == "constants"}, path
