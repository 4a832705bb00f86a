"""Tests the settings of a machine: what they may look like, and that they reach the manager."""

from base64 import b64decode, b64encode

import pytest

from cdn_config import Settings, load_configuration, open_manager
from cdn_config.public_key import objection_to_public_key, public_key_of
from cdn_config.values import rate_of, seconds_of
from cdn_manager import DeadlineExceededError, limit_rate

CREDENTIALS = "host: http://127.0.0.1:1\ndownloader_access_key: AKIDREADER\ndownloader_access_secret: s3cr3t\n"
BEGIN, LINE, END = (
    "-----BEGIN PUBLIC KEY-----",
    "MCowBQYDK2VwAyEA80eL0UUYUaUWKftWHaLrD09TWmZ7R3o4lD3hrc1wklg=",
    "-----END PUBLIC KEY-----",
)

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


@pytest.mark.parametrize(
    "lines",
    [
        f" {LINE}\n",
        f" {LINE[:20]}\n  {LINE[20:]}\n",
        f" |\n  {BEGIN}\n  {LINE}\n  {END}\n",
        f" '{BEGIN}\n  {LINE}\n  {END}'\n",
    ],
    ids=["base64", "base64 on two lines", "PEM", "PEM in quotes"],
)
def test_public_key_is_pem_or_the_base64_in_it(file, lines):
    file.write_text(f"{CREDENTIALS}release_public_key:{lines}")
    assert public_key_of(load_configuration(file).release_public_key) == b64decode(LINE)[-32:]


@pytest.mark.parametrize("text", ["", "=", LINE[:-4], LINE + LINE, LINE.replace("MCow", "MCov"), f"{LINE}é"])
def test_what_is_no_public_key_is_refused(text):
    assert public_key_of(text) is None
    assert objection_to_public_key(text).startswith("must be an Ed25519 public key")


# Of PKCS#8 with Ed25519, of its second version, of PKCS#8 with RSA, and of an elliptic curve (SEC 1).
@pytest.mark.parametrize("start", ["302e020100300506", "3051020101300506", "30820276020100300d", "30770201010420"])
def test_private_key_is_told_from_other_mistakes(start):
    text = b64encode(bytes.fromhex(start) + bytes(48)).decode()
    assert objection_to_public_key(text).startswith("is a private key")
    pem = f"-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"
    assert objection_to_public_key(pem) == objection_to_public_key(text)


def test_releases_need_no_signature_unless_a_key_is_set(file):
    file.write_text(CREDENTIALS)
    assert load_configuration(file).release_public_key is None


@pytest.mark.usefixtures("folder")
def test_one_line_makes_a_manager_with_all_settings(file):
    file.write_text(f"{CREDENTIALS}limit_rate: 1G\ndeadline: 0.2\nconnect_timeout: 3\nread_timeout: 45\n")
    with open_manager(file) as manager:
        config = manager.download_client.meta.config
        with pytest.raises(DeadlineExceededError):  # nobody listens there, so it is tried again until the deadline
            manager.fetch("models", "model.bin")
    assert (config.connect_timeout, config.read_timeout) == (3, 45)
    assert config.retries["total_max_attempts"] == 5  # ours, which the settings do not touch
