"""Tests what a batch counts, and what it tells as JSON. The clock is an argument."""

import json

import pytest
from command import run

from cdn_cli.console import print_event
from cdn_cli.progress import CountingDisplay, JsonDisplay
from cdn_cli.transfer import Transfer
from cdn_engine.phases import COMPARING, HASHING, RECEIVING, SENDING, WAITING
from cdn_manager import TransferResult

pytestmark = pytest.mark.portable

MODEL, OTHER = Transfer("model", "model", None), Transfer("other", "other", None)


class Clock:
    """A clock that stands still until it is told to move."""

    now = 0.0

    def __call__(self):
        return self.now


def counting(*transfers, kind=CountingDisplay, **options):
    """Return a display of transfers that have begun, and its clock."""
    clock = Clock()
    display = kind("models", transfers, clock=clock, **options)
    for transfer in transfers:
        display.begin(transfer)
    return display, clock


def receive(display, clock, transfer, seconds, rate):
    """Let a transfer receive so many bytes in each second."""
    for _ in range(seconds):
        clock.now += 1
        display.advance(transfer, rate)
        display.tick()


def unchanged(transfer, size):
    """Return the result of a transfer that had nothing to do."""
    return TransferResult("models", transfer.key, size, None, "5a", False, 0, 0, None, skipped=True)


def test_size_of_all_is_known_once_every_size_is():
    display, _ = counting(MODEL, OTHER)
    display.expect(MODEL, 1000)
    assert display.total.size is None
    display.expect(OTHER, 500)
    assert display.total.size == 1500


def test_size_of_all_leaves_out_what_a_failed_transfer_has_not_moved():
    model = MODEL._replace(size=1000)
    display, _ = counting(model, OTHER)
    display.advance(model, 100)
    display.fail(OTHER, OSError())
    display.fail(model, OSError())
    assert (display.total.size, display.total.bytes) == (100, 100)


def test_resumed_bytes_are_there_and_do_not_count_for_the_rate():
    display, clock = counting(MODEL, OTHER)
    display.enter(MODEL, RECEIVING, 0)
    display.expect(MODEL, 1_000_000)
    display.resume(MODEL, 900_000)
    receive(display, clock, MODEL, 4, 1000)
    for motion in (display.running[MODEL], display.total):
        assert (motion.bytes, motion.resumed, motion.rate) == (904_000, 900_000, 1000)


def test_bytes_that_another_transfer_resumes_do_not_count_for_the_rate_of_all():
    display, clock = counting(MODEL, OTHER)
    display.enter(MODEL, RECEIVING, 0)
    receive(display, clock, MODEL, 2, 1000)
    display.resume(OTHER, 900_000)
    receive(display, clock, MODEL, 2, 1000)
    assert (display.total.bytes, display.total.rate) == (904_000, 1000)


def test_unchanged_files_are_there_and_do_not_count_for_the_rate():
    model, other = MODEL._replace(size=900_000), OTHER._replace(size=100_000)
    display, clock = counting(model, other)
    display.enter(other, SENDING, 0)
    display.finish(model, unchanged(model, 900_000), 0.1)
    receive(display, clock, other, 4, 1000)
    assert (display.total.bytes, display.total.size, display.total.rate) == (904_000, 1_000_000, 1000)


def test_unchanged_download_is_counted_once():
    display, _ = counting(MODEL)
    display.enter(MODEL, COMPARING, 0)
    display.resume(MODEL, 1000)
    display.finish(MODEL, unchanged(MODEL, 1000), 0.1)
    assert (display.total.bytes, display.total.size) == (1000, 1000)


def test_all_of_them_move_while_one_does():
    display, clock = counting(MODEL, OTHER)
    display.enter(MODEL, HASHING, 5)
    display.enter(OTHER, WAITING, 0)
    display.tick()
    assert display.total.phase == HASHING
    display.enter(OTHER, SENDING, 0)
    receive(display, clock, OTHER, 4, 1000)
    assert (display.total.phase, display.total.rate) == (SENDING, 1000)


# JSON


def test_json_is_one_object_per_line(config, moto_bucket, stored, capsys):
    stored(**{"a.bin": b"abc"})
    assert run("download", moto_bucket, "a.bin", "nothing", "--json") == 1
    done, failed, summary = sorted(map(json.loads, capsys.readouterr().out.splitlines()), key=lambda e: e["event"])
    assert (done["event"], done["key"], done["size"]) == ("done", "a.bin", 3)
    assert (failed["event"], failed["key"], failed["error"]) == ("failed", "nothing", "NoSuchKey")
    assert (summary["event"], summary["done"], summary["failed"]) == ("summary", 1, 1)


def test_json_is_ascii_without_control_characters(capsys):
    print_event({"key": "\x7f\x9b\u202e\ud800ü"})
    written = capsys.readouterr().out
    assert written.isascii()
    assert written[:-1].isprintable()
    assert json.loads(written) == {"key": "\x7f\x9b\u202e\ud800ü"}


def test_json_tells_once_a_second_how_far_each_transfer_and_all_of_them_are(capsys):
    model = MODEL._replace(size=10_000)
    display, clock = counting(model, kind=JsonDisplay, quiet=False)
    display.enter(model, RECEIVING, 0)
    display.tick()
    for _ in range(16):
        clock.now += 0.25
        display.advance(model, 250)
        display.tick()
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["progress", "total"] * 4
    assert [event["bytes"] for event in events] == [1000, 1000, 2000, 2000, 3000, 3000, 4000, 4000]
    assert events[-2] == {
        "event": "progress", "bucket": "models", "key": "model", "path": "model", "phase": "receiving", "bytes": 4000,
        "size": 10_000, "read": 0, "rate": 1000, "seconds_left": 6.0,
    }  # fmt: skip
    assert events[-1] == {
        "event": "total", "phase": "receiving", "bytes": 4000, "size": 10_000, "read": 0, "rate": 1000,
        "seconds_left": 6.0, "files": 1, "done": 0, "failed": 0,
    }  # fmt: skip


def test_json_of_a_transfer_that_hashes_tells_how_far_it_is(capsys):
    model = MODEL._replace(size=10_000)
    display, clock = counting(model, kind=JsonDisplay, quiet=False)
    display.enter(model, HASHING, 4000)
    display.tick()
    clock.now = 1.0
    display.tick()
    event = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (event["phase"], event["read"], event["bytes"], event["rate"]) == ("hashing", 4000, 0, None)


def test_json_with_quiet_tells_no_progress(capsys):
    display, clock = counting(MODEL, kind=JsonDisplay, quiet=True)
    receive(display, clock, MODEL, 5, 1)
    assert capsys.readouterr().out == ""
