"""Writes the report of the benchmarks: the data of all runs, tables and charts of them.

The page's own words are outside the two marks; what is between them is made here.
"""

import json
import statistics
from dataclasses import dataclass

import charts
import links
from child import OURS
from clients import DEFAULT
from workloads import NOTES, REASONS, WORKLOADS

_BEGIN, _END = "<!-- What follows is written by bench/run.py. -->", "<!-- Until here. -->"
_GROUPS = {
    "download": "Downloads", "upload": "Uploads", "small": "Small objects", "many": "Many objects",
    "first": "A new process", "sizes": "Seconds against size",
}  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """Medians of a client's runs, and of its seconds the least and the most; MiB of memory."""

    wall: tuple
    cpu: tuple
    memory: float

    @classmethod
    def of(cls, runs):
        """Return the figures of runs; None if one of them failed, or there are none."""
        if not runs or any("error" in run for run in runs):
            return None
        columns = {name: [run[name] for run in runs] for name in ("wall", "cpu", "memory")}
        spread = {name: (statistics.median(columns[name]), min(columns[name]), max(columns[name])) for name in columns}
        return cls(spread["wall"], spread["cpu"], spread["memory"][0])


class Result:
    """What has been measured of one workload.

    Attributes:
        workload: The workload.
        same, default: Figures by client, of those who did the same work as ours, and what they do by default.
        ours: Our own.
    """

    def __init__(self, name, data):
        self.name, self.workload = name, WORKLOADS[name]
        runs, other = data[name]["runs"], data.get(self.workload.default_from, data[name])["runs"]
        if self.workload.default_from not in data and self.workload.default_from is not None:
            other = []
        clients = list(dict.fromkeys(run["client"] for run in runs))
        self.same = {one: _figures(runs, one, self.workload.same) for one in clients}
        self.default = {one: _figures(other, one, DEFAULT) for one in clients} if self.workload.default else {}
        self.ours = self.same.get(self.workload.ours)

    def best(self, figures, column):
        """Return the peer with the best median in a column; None if no peer has one."""
        rivals = {one: found for one, found in figures.items() if found and one not in (*OURS, "limit")}
        return min(rivals, key=lambda one: getattr(rivals[one], column)[0], default=None)

    def ratio(self, figures, client, column):
        """Return ours divided by a client's, as text; in bold where ours is behind."""
        other = figures.get(client)
        if self.ours is None or other is None or client in OURS:
            return "-"
        value = f"{getattr(self.ours, column)[0] / getattr(other, column)[0]:.2f}"
        return f"**{value}**" if float(value) > 1 and client != "limit" else value

    @property
    def behind(self):
        return self.ratio(self.same, self.best(self.same, "wall"), "wall").startswith("**")


def _figures(runs, client, work):
    return Figures.of([run for run in runs if (run["client"], run["work"]) == (client, work)])


def _seconds(median, *spread):
    """Return seconds as text, as milliseconds where there are few, and in brackets the least and the most."""
    scale, unit = (1000, "ms") if median < 0.1 else (1, "s")
    texts = [f"{value * scale:.{2 if median * scale < 10 else 1}f}" for value in (median, *spread)]
    return f"{texts[0]} {unit}" + (f" ({'-'.join(texts[1:])})" if spread else "")


def _summary(results):
    """Return a table with a row for each workload."""
    lines = [
        "| work | ours | best peer, same work | ours / it | ours / least CPU | best peer by default | ours / it"
        " | why ours is behind |",
        "| --- " * 8 + "|",
    ]
    for one in results:
        best, least = one.best(one.same, "wall"), one.best(one.same, "cpu")
        plain = one.best(one.default, "wall")
        lines.append("| " + " | ".join([
            one.workload.title, _seconds(*one.ours.wall) if one.ours else "-",
            f"{best} {_seconds(one.same[best].wall[0])}" if best else "-", one.ratio(one.same, best, "wall"),
            one.ratio(one.same, least, "cpu") + (f" ({least})" if least else ""),
            f"{plain} {_seconds(one.default[plain].wall[0])}" if plain else "-", one.ratio(one.default, plain, "wall"),
            (REASONS.get(one.name) or "not known yet") if one.behind else "",
        ]) + " |")  # fmt: skip
    return lines


def _details(one):
    """Return a table with a row for each client."""
    lines = [
        f"### {one.workload.title}", "", *([NOTES[one.name], ""] if one.name in NOTES else []),
        "| client | same work: wall | CPU | MiB | ours / it, wall | CPU | by default: wall | CPU"
        " | ours / it, wall | CPU |",
        "| --- " * 10 + "|",
    ]  # fmt: skip
    for client, found in one.same.items():
        figures = [_seconds(*found.wall), _seconds(*found.cpu), f"{found.memory:.0f}"] if found else ["fails", "-", "-"]
        cells = [client, *figures]
        cells += [one.ratio(one.same, client, "wall"), one.ratio(one.same, client, "cpu")]
        plain = one.default.get(client)
        cells += [_seconds(*plain.wall), _seconds(*plain.cpu)] if plain else ["-", "-"]
        cells += [one.ratio(one.default, client, "wall"), one.ratio(one.default, client, "cpu")]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _sizes(results):
    """Return a table of sizes and clients, and the chart's series."""
    clients = list(dict.fromkeys(client for one in results for client in one.same))
    lines = ["| size | " + " | ".join(clients) + " |", "| --- " * (len(clients) + 1) + "|"]
    for one in results:
        cells = [_seconds(*found.wall) if (found := one.same.get(client)) else "-" for client in clients]
        lines.append(f"| {one.workload.title.partition(' over')[0]} | " + " | ".join(cells) + " |")
    points = {
        client: [(one.workload.size, *one.same[client].wall) for one in results if one.same.get(client)]
        for client in clients
    }
    ticks = [(one.workload.size, one.workload.title.partition(" over")[0]) for one in results]
    return lines, charts.lines({client: found for client, found in points.items() if found}, ticks, "s")


def _bars(results):
    panels = []
    for one in results:
        found = [(client, values) for client, values in one.same.items() if values]
        found += [(f"{client}, default", values) for client, values in one.default.items() if values]
        rows = [(client, client in OURS, *values.wall, _seconds(values.wall[0])) for client, values in found]
        panels += [(one.workload.title, rows)] if rows else []
    return charts.bars(panels)


def _link_bars(everything):
    panels = []
    for name, clients in everything.items():
        case = links.LINKS[name]
        figures = {client: links.summary(runs, case.mib << 20) for client, runs in clients.items()}
        rows = [
            (client, client in OURS, one["median"], one["least"], one["most"], _seconds(one["median"]))
            for client, one in figures.items() if "verdict" not in one
        ]  # fmt: skip
        panels += [(f"{name}: {case.mib} MiB", rows)] if rows else []
    return charts.bars(panels)


def _setups(data):
    """Return what the figures depend on, once for each set of workloads that share it."""
    shared = {}
    for name, found in data.items():
        words = ", ".join(f"{key} {value}" for key, value in found["setup"].items())
        shared.setdefault(f"`bench/run.py --rounds {found['rounds']}`: {words}.", []).append(name)
    if len(shared) == 1:
        return [*shared, ""]
    return [line for words, names in shared.items() for line in (f"{', '.join(names)}: {words}", "")]


def _page(data, pictures):
    """Return the lines of what is between the marks, and add the charts to ``pictures``."""
    results = [Result(name, data) for name in WORKLOADS if name in data]
    lines = [*_setups(data), "## Summary", "", *_summary(results), ""]
    for group, title in _GROUPS.items():
        if not (mine := [one for one in results if one.workload.group == group]):
            continue
        lines += [f"## {title}", "", f"![{title}](benchmarks/{group}.svg)", ""]
        if group == "sizes":
            table, pictures[group] = _sizes(mine)
            lines += [*table, ""]
        else:
            pictures[group] = _bars(mine)
            lines += [line for one in mine for line in _details(one)]
    if "links" in data:
        pictures["links"] = _link_bars(data["links"]["runs"])
        lines += ["## Links", "", "![Links](benchmarks/links.svg)", "", *links.table(data["links"]["runs"]), ""]
    return lines


def load(folder):
    """Return what has been measured before."""
    path = folder / "benchmarks.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write(folder, data):
    """Write the data, and the page and the charts made from it."""
    (folder / "benchmarks").mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks.json").write_text(json.dumps(data).replace("}, {", "},\n {") + "\n", encoding="utf-8")
    pictures = {}
    middle = "\n".join(_page(data, pictures))
    for name, picture in pictures.items():
        (folder / "benchmarks" / f"{name}.svg").write_text(picture, encoding="utf-8")
    page = folder / "benchmarks.md"
    words = page.read_text(encoding="utf-8") if page.exists() else f"# Benchmarks\n\n{_BEGIN}\n{_END}\n"
    before, after = words.split(_BEGIN)[0], words.split(_END)[1]
    page.write_text(f"{before}{_BEGIN}\n\n{middle}\n{_END}{after}", encoding="utf-8")
