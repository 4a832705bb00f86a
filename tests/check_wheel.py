"""Says whether a wheel holds what this source tree promises and nothing stray: python tests/check_wheel.py WHEEL ..."""

import re
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAME = re.compile(r"cdn_manager-[0-9][^-]*-cp311-abi3-[^-]+\.whl")
COMPILED = re.compile(r"(\.abi3\.so|\.pyd)$")
METADATA = re.compile(r"cdn_manager-[^/]+\.dist-info/")


def promised_files():
    """Return what a wheel must hold beside its metadata; a compiled module is named by its source."""
    modules = {path.name for pattern in ("*.py", "*.pyx", "*.pxd") for path in ROOT.glob(pattern)}
    stubs = {path.relative_to(ROOT / "stubs").as_posix() for path in ROOT.glob("stubs/*/*.pyi")}
    return (modules | stubs) - {"setup.py"}


def complaints(names):
    """Return a sentence for each file that is missing from ``names`` or too much among them."""
    files = {COMPILED.sub(".pyx", name) for name in names if not METADATA.match(name) and name[-1] != "/"}
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
