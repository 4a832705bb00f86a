"""What the wheel has put on this machine: the modules, their C interface, and stubs that tell the truth."""

import ast
import importlib
import importlib.metadata
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from check_wheel import complaints

STUBS = Path(__file__).parent.parent / "stubs"
STUBBED = sorted(path.name.removesuffix("-stubs") for path in STUBS.iterdir())

pytestmark = pytest.mark.portable


def installed_files():
    """Return what the wheel has put into site-packages; pip's compiled files and scripts are not the wheel's."""
    names = {name.as_posix() for name in importlib.metadata.files("cdn-manager") if name.suffix != ".pyc"}
    return {name for name in names if not name.startswith("..")}


def test_wheel_installs_what_it_must_and_nothing_stray():
    assert complaints(installed_files()) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda names: names - {"cdn_manager.pxd"}, "cdn_manager.pxd is missing"),
        (lambda names: names - {"cdn_manager.abi3.so"}, "cdn_manager.pyx is missing"),
        (lambda names: names | {"setup.py"}, "setup.py is stray"),
        (lambda names: names | {"build/constants.c"}, "build/constants.c is stray"),
        (lambda names: {name for name in names if "LICENSE" not in name}, "the LICENSE is missing"),
    ],
)
def test_check_of_the_wheel_finds_what_is_wrong_with_it(change, complaint):
    names = {name.replace(".pyd", ".abi3.so") for name in installed_files()}
    assert complaints(change(names)) == [complaint]


def test_modules_import_from_any_directory(tmp_path):
    program = "from cdn_manager import CDNManager, CDNCredentials; from constants import log, logerror"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)


def parameters(function):
    """Return the names of a function's parameters, those with a default marked, out of a stub or of the real one."""
    if isinstance(function, ast.FunctionDef):
        arguments = function.args.args
        required = len(arguments) - len(function.args.defaults)
        return [argument.arg + "=" * (index >= required) for index, argument in enumerate(arguments)]
    given = inspect.signature(function).parameters.values()
    return [one.name + "=" * (one.default is not one.empty) for one in given if one.kind is one.POSITIONAL_OR_KEYWORD]


def stub_of(name):
    tree = ast.parse((STUBS / f"{name}-stubs" / "__init__.pyi").read_text())
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}


def public(members):
    return {name for name in members if not name.startswith("_")}


@pytest.mark.parametrize("name", STUBBED)
def test_stub_names_what_its_module_defines(name):
    module = importlib.import_module(name)
    own = {key for key, value in vars(module).items() if getattr(value, "__module__", None) == name}
    assert public(stub_of(name)) == public(own)


@pytest.mark.parametrize("name", STUBBED)
def test_stub_gives_functions_and_methods_their_real_parameters(name):
    module = importlib.import_module(name)
    for key, node in stub_of(name).items():
        real = getattr(module, key)
        if isinstance(node, ast.FunctionDef):
            assert parameters(node) == parameters(real), key
            continue
        in_stub = {member.name: member for member in node.body if isinstance(member, ast.FunctionDef)}
        if in_stub:
            assert public(in_stub) == public(vars(real)), key
        for member, function in in_stub.items():
            if not function.decorator_list and member != "__init__":
                assert parameters(function) == parameters(getattr(real, member)), f"{key}.{member}"
