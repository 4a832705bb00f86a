"""Says whether a wheel holds what this source tree promises and nothing stray: python check_wheel.py WHEEL ..."""

import re
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"cdn_manager-[0-9][^-]*-cp311-abi3-[^-]+\.whl")
COMPILED = re.compile(r"(\.abi3\.so|\.pyd)$")
METADATA = re.compile(r"cdn_manager-[^/]+\.dist-info/")
DATA = re.compile(r"cdn_manager-[^/]+\.data/data/")
MANUAL = "share/man/man1/cdn-manager.1"

# What lies in the source tree: the two compiled root modules with their C interface, and the packages.
ROOT_MODULES = ("cdn_manager", "constants")
PACKAGES = ("cdn_cli", "cdn_config", "cdn_engine", "cdn_release", "cdn_manager-stubs", "constants-stubs")
SUFFIXES = (".py", ".pyi", ".pyx", ".typed")


def promised_files():
    """Return what a wheel must hold beside its metadata; a compiled module is named by its source."""
    modules = {f"{name}.{suffix}" for name in ROOT_MODULES for suffix in ("pyx", "pxd")}
    found = (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.suffix in SUFFIXES)
    return modules | {MANUAL} | {path.relative_to(ROOT).as_posix() for path in found}


def complaints(names):
    """Return a sentence for each file that is missing from ``names`` or too much among them."""
    files = {COMPILED.sub(".pyx", DATA.sub("", name)) for name in names if not METADATA.match(name) and name[-1] != "/"}
    promised = promised_files()
    found = [f"{name} is missing" for name in promised - files] + [f"{name} is stray" for name in files - promised]
    if not any(METADATA.match(name) and name.endswith("/licenses/LICENSE") for name in names):
        found.append("the LICENSE is missing")
    return sorted(found)


def main():
    failed = False
    for wheel in map(Path, sys.argv[1:]):
        with zipfile.ZipFile(wheel) as archive:
            found = complaints(archive.namelist())
        if not NAME.fullmatch(wheel.name):
            found.append("its name does not say cp311-abi3")
        print(f"{wheel.name}: {'; '.join(found) or 'holds what it must'}")
        failed = failed or bool(found)
    return failed


if __name__ == "__main__":
    sys.exit(main())
