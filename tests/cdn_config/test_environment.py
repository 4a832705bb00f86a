"""Tests how the configuration is found: a file, or the environment, and never both."""

import traceback

import pytest

from cdn_config import ConfigError, Settings, load_configuration
from cdn_config.exchanged import exchanged_pairs

URL = "https://cdn.example.com"
PUBLIC_KEY = "MCowBQYDK2VwAyEA80eL0UUYUaUWKftWHaLrD09TWmZ7R3o4lD3hrc1wklg="
PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIs3cr3ts3cr3ts3cr3t=\n-----END PRIVATE KEY-----\n"
READER = {"CDN_DOWNLOADER_ACCESS_KEY": "AKIDREADER", "CDN_DOWNLOADER_ACCESS_SECRET": "s3cr3t"}
FILE = "host: https://file.example.com\nuploader_access_key: AKIDWRITER\nuploader_access_secret: s3cr3t\n"

pytestmark = [pytest.mark.portable, pytest.mark.usefixtures("folder")]


@pytest.fixture
def setenv(monkeypatch):
    """A function that sets variables, in an environment without any of ours."""
    monkeypatch.setattr("os.environ", {})
    return lambda variables={}, **more: [monkeypatch.setenv(*item) for item in {**variables, **more}.items()]


@pytest.fixture
def file(folder):
    path = folder / "cdn.yaml"
    path.touch(mode=0o600)
    path.write_text(FILE)
    return path


def message(path=None):
    with pytest.raises(ConfigError) as caught:
        load_configuration(path)
    assert "s3cr3t" not in str(caught.value)
    assert "AKID" not in str(caught.value)
    _, *frames = traceback.walk_tb(caught.value.__traceback__)
    assert "s3cr3t" not in repr([frame.f_locals for frame, _ in frames]) + repr(caught.value.__context__)
    return str(caught.value)


def test_environment_holds_everything_that_a_file_can(setenv):
    setenv(
        READER, CDN_HOST=URL, CDN_REGION="eu-west-1", CDN_DOWNLOADER_SESSION_TOKEN="t0k3n", CDN_LIMIT_RATE="2M",
        CDN_UPLOADER_ACCESS_KEY="AKIDWRITER", CDN_UPLOADER_ACCESS_SECRET="s3cr3t", CDN_DEADLINE="10m",
        CDN_UPLOADER_SESSION_TOKEN="t0k3n", CDN_CONNECT_TIMEOUT="5", CDN_READ_TIMEOUT="2m",
        CDN_RELEASE_PUBLIC_KEY=PUBLIC_KEY,
    )  # fmt: skip
    found = load_configuration()
    credentials = found.credentials
    assert (found.path, credentials.host, credentials.region) == (None, URL, "eu-west-1")
    assert (credentials.downloader_access_key, credentials.uploader_access_key) == ("AKIDREADER", "AKIDWRITER")
    assert found.settings == Settings(2_000_000, 600, 5, 120)
    assert found.release_public_key == PUBLIC_KEY


def test_public_bucket_needs_a_host_and_no_key(setenv):
    setenv(CDN_HOST=URL, CDN_ANONYMOUS="true")
    assert load_configuration().credentials.anonymous


def test_variable_that_is_empty_is_not_set(setenv, file):
    setenv(CDN_HOST="", CDN_DOWNLOADER_ACCESS_KEY="", CDN_CONFIG="")
    assert load_configuration().path == "cdn.yaml"


def test_aws_variables_are_not_read(setenv):
    setenv(CDN_HOST=URL, AWS_ACCESS_KEY_ID="AKIDREADER", AWS_SECRET_ACCESS_KEY="s3cr3t")
    assert "no key pair: CDN_DOWNLOADER_ACCESS_KEY and CDN_DOWNLOADER_ACCESS_SECRET are needed" in message()


def test_path_comes_before_cdn_config_which_comes_before_the_environment_which_comes_before_the_file_here(
    setenv, file, folder, caplog
):
    for name in ("given", "configured"):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(FILE.replace("file", name))
    assert load_configuration().credentials.host == "https://file.example.com"
    setenv(READER, CDN_HOST=URL)
    assert load_configuration().credentials.host == URL
    setenv(CDN_CONFIG="configured")
    assert load_configuration().credentials.host == "https://configured.example.com"
    assert load_configuration("given").credentials.host == "https://given.example.com"
    assert caplog.messages[-1] == (
        "given is used, and not CDN_HOST and CDN_DOWNLOADER_ACCESS_KEY and CDN_DOWNLOADER_ACCESS_SECRET from the "
        "environment"
    )


def test_file_and_environment_are_never_mixed(setenv, file):
    setenv(READER, CDN_CONFIG="cdn.yaml", CDN_LIMIT_RATE="2M")
    found = load_configuration()
    assert found.credentials.downloader_access_key is None
    assert found.settings.limit_rate is None


def test_keys_without_a_host_beside_a_file_are_an_error_that_says_what_to_do(setenv, file):
    setenv(READER)
    assert message() == (
        "environment: CDN_DOWNLOADER_ACCESS_KEY and CDN_DOWNLOADER_ACCESS_SECRET are set, but CDN_HOST is not: set it "
        "too, or unset them to use a file"
    )


@pytest.mark.parametrize(("name", "text"), [("CDN_LIMIT_RATE", "2M"), ("CDN_RELEASE_PUBLIC_KEY", PUBLIC_KEY)])
def test_setting_without_a_host_beside_a_file_is_an_error_too(setenv, file, name, text):
    setenv({name: text})
    assert message().endswith(f"{name} is set, but CDN_HOST is not: set it too, or unset it to use a file")


@pytest.mark.parametrize("name", ["CDN_REGION", "CDN_URL", "CDN_HOSTS", "CDN_ACCESS_KEY", "CDN_DEADLINE"])
def test_variable_that_may_be_another_programs_does_not_matter(setenv, file, name):
    setenv({name: "eu-west-1"})
    assert load_configuration().path == "cdn.yaml"


@pytest.mark.parametrize("host", [{}, {"CDN_HOST": URL}])
def test_misspelt_variable_is_named_with_the_right_one(setenv, file, host):
    setenv(host, CDN_DOWNLODER_ACCESS_KEY="AKIDREADER")
    assert "unknown variable CDN_DOWNLODER_ACCESS_KEY (did you mean CDN_DOWNLOADER_ACCESS_KEY?)" in message()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({**READER, "CDN_HOST": "cdn.example.com"}, "CDN_HOST: host must be a URL such as"),
        ({**READER, "CDN_HOST": URL, "CDN_LIMIT_RATE": "fast"}, "CDN_LIMIT_RATE must be bytes a second"),
        ({**READER, "CDN_HOST": URL, "CDN_READ_TIMEOUT": "0"}, "CDN_READ_TIMEOUT must be a time between 0 and a year"),
        ({"CDN_HOST": URL, "CDN_ANONYMOUS": "1"}, "CDN_ANONYMOUS must be true or false"),
        ({**READER, "CDN_HOST": URL, "CDN_ANONYMOUS": "true"},
         "CDN_DOWNLOADER_ACCESS_KEY contradicts CDN_ANONYMOUS: remove one of them"),
        ({"CDN_HOST": URL, "CDN_UPLOADER_ACCESS_SECRET": "s3cr3t"},
         "CDN_UPLOADER_ACCESS_KEY is missing: CDN_UPLOADER_ACCESS_SECRET needs it"),
        ({**READER, "CDN_HOST": URL, "CDN_UPLOADER_SESSION_TOKEN": "s3cr3t\n"},
         "CDN_UPLOADER_SESSION_TOKEN contains a space, a line break or a control character"),
        ({**READER, "CDN_HOST": URL, "CDN_RELEASE_PUBLIC_KEY": PRIVATE_KEY},
         "CDN_RELEASE_PUBLIC_KEY is a private key, which no edge machine may have"),
    ],
)  # fmt: skip
def test_error_names_the_variables_and_never_a_value(setenv, variables, expected):
    setenv(variables)
    assert message().startswith("environment: ")
    assert expected in message()


def test_exchanged_halves_are_recognized_in_the_environment_as_well(setenv):
    setenv(CDN_HOST=URL, CDN_DOWNLOADER_ACCESS_KEY="s3cr3t-and-long", CDN_DOWNLOADER_ACCESS_SECRET="AKIDREADER")
    found = exchanged_pairs(load_configuration().path)
    assert list(found) == ["downloader"]
    assert found["downloader"].downloader_access_key == "AKIDREADER"
