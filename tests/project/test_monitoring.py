"""Tests the examples for whoever runs the command unattended: metrics for Prometheus, units for systemd."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import PROGRAM, run, write_config, write_files

EXAMPLES = Path(__file__).parents[2] / "examples"
METRICS = Path("cdn.prom")


def write_metrics(*arguments, text=""):
    """Run the script; return what it prints."""
    script = EXAMPLES / "prometheus" / "cdn_textfile.py"
    command = [sys.executable, "-I", str(script), str(METRICS), *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def metrics():
    """Return the values in the file, by name and labels."""
    lines = METRICS.read_text(encoding="utf-8").splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


@pytest.fixture
def publish(folder, store, bucket, monkeypatch, capsys):
    """A function that uploads two files to the real store, with more options, and returns what was printed."""
    monkeypatch.delenv("CDN_CONFIG", raising=False)
    write_config(store.url)
    write_files("release", a=b"abc", b=b"defg")

    def upload(*options):
        run("upload", bucket, "release", *options)
        return capsys.readouterr().out

    return upload


def test_metrics_tell_of_the_run_and_its_output_is_passed_on(publish):
    printed = publish("--json")
    assert write_metrics(text=printed) == printed
    found = metrics()
    assert found["cdn_manager_last_run_success"] == 1
    assert abs(found["cdn_manager_last_run_timestamp_seconds"] - time.time()) < 600
    assert found["cdn_manager_last_success_timestamp_seconds"] == found["cdn_manager_last_run_timestamp_seconds"]
    assert found["cdn_manager_last_run_transferred_bytes"] == 7
    assert found['cdn_manager_last_run_files{state="done"}'] == 2
    assert list(Path().glob("cdn.prom*")) == [METRICS]


def test_metrics_of_the_last_run_in_a_log_file(publish):
    publish("--log-file", "cdn.log")
    log = Path("cdn.log")
    log.write_text('{"event": "summary", "pid": 0}\n' + log.read_text())
    assert write_metrics("cdn.log") == ""
    assert metrics()["cdn_manager_last_run_object_bytes"] == 7
    with log.open("a") as file:
        file.write('{"event": "ended", "status": 2, "pid": 0}\n')
    write_metrics("cdn.log")
    assert metrics()["cdn_manager_last_run_success"] == 0


def test_failed_run_keeps_the_time_of_the_last_success(publish):
    write_metrics(text=publish("--json"))
    METRICS.write_text(re.sub(r"(last_success_\w+) \d+", r"\1 1000", METRICS.read_text()))
    write_metrics(text=publish("--json", "--no-overwrite"))
    found = metrics()
    assert found["cdn_manager_last_run_success"] == 0
    assert found['cdn_manager_last_run_files{state="failed"}'] == 2
    assert found["cdn_manager_last_success_timestamp_seconds"] == 1000


def test_run_without_a_summary_is_a_failed_one(folder):
    write_metrics(text="")
    assert metrics().keys() == {"cdn_manager_last_run_timestamp_seconds", "cdn_manager_last_run_success"}
    assert metrics()["cdn_manager_last_run_success"] == 0


def test_each_metric_has_a_help_and_a_type(publish):
    write_metrics(text=publish("--json"))
    text = METRICS.read_text(encoding="utf-8")
    for name in re.findall(r"^(\w+)", text, re.MULTILINE):
        assert f"\n# TYPE {name} gauge\n" in text
        assert re.search(rf"^# HELP {name} .+\.$", text, re.MULTILINE)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd")
def test_systemd_accepts_the_units(tmp_path):
    for name in ("cdn-models.service", "cdn-models.timer"):
        text = (EXAMPLES / "systemd" / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("/usr/local/bin/cdn-manager", PROGRAM))
    units = [str(path) for path in tmp_path.iterdir()]
    verified = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
