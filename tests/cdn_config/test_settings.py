"""Tests the settings of a machine: what they may look like, and that they reach the manager."""

import pytest

from cdn_config import Settings, load_configuration, open_manager
from cdn_config.values import rate_of, seconds_of
from cdn_manager import DeadlineExceededError, limit_rate

CREDENTIALS = "host: http://127.0.0.1:1\ndownloader_access_key: AKIDREADER\ndownloader_access_secret: s3cr3t\n"

pytestmark = pytest.mark.portable


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "cdn.yaml"
    path.touch(mode=0o600)
    yield path
    limit_rate(None)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("2M", 2_000_000), ("2m", 2_000_000), ("1.5G", 1_500_000_000), ("500k", 500_000), ("1K", 1000), ("20000", 20_000)],
)
def test_rate_is_in_bytes_with_units_of_1000(text, rate):
    assert rate_of(text) == rate


@pytest.mark.parametrize("text", ["", "M", "2MB", "2 M", "2Mi", "-2M", "2e6", "999", "0M", "inf", "nan", "1" * 400])
def test_what_is_no_rate_is_refused(text):
    assert rate_of(text) is None


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("2.5", 2.5), ("30s", 30), ("10m", 600), ("1.5h", 5400)])
def test_time_is_in_seconds_minutes_or_hours(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "0", "0.0m", "-1", "10 m", "10min", "1:30", "1e3", "inf", "1" * 400, "٣"])
def test_what_is_no_time_is_refused(text):
    assert seconds_of(text) is None


def test_numbers_need_no_quotes(file):
    file.write_text(f"{CREDENTIALS}limit_rate: 2000000\ndeadline: 600\nconnect_timeout: 2.5\nread_timeout: 2m\n")
    assert load_configuration(file).settings == Settings(2_000_000, 600.0, 2.5, 120.0)


def test_without_settings_the_defaults_count(file):
    file.write_text(CREDENTIALS)
    assert load_configuration(file).settings == Settings(None, None, None, None)
    with open_manager(file) as manager:
        assert manager.download_client.meta.config.connect_timeout == 10


@pytest.mark.usefixtures("folder")
def test_one_line_makes_a_manager_with_all_settings(file):
    file.write_text(f"{CREDENTIALS}limit_rate: 1G\ndeadline: 0.2\nconnect_timeout: 3\nread_timeout: 45\n")
    with open_manager(file) as manager:
        config = manager.download_client.meta.config
        with pytest.raises(DeadlineExceededError):  # nobody listens there, so it is tried again until the deadline
            manager.fetch("models", "model.bin")
    assert (config.connect_timeout, config.read_timeout) == (3, 45)
    assert config.retries["total_max_attempts"] == 5  # ours, which the settings do not touch
