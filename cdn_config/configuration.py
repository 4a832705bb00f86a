"""Finds the configuration of this machine, and makes a manager of it."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.config import Config

from cdn_config import environment
from cdn_config.document import read_document
from cdn_config.error import ConfigError
from cdn_config.secret_file import read_secret_file
from cdn_config.values import KEYS, LIMITS, limit_of
from cdn_manager import CDNCredentials, CDNManager, limit_rate

__all__ = [
    "Configuration",
    "Settings",
    "configuration_path",
    "load_configuration",
    "load_credentials",
    "open_manager",
    "parse_credentials",
]

_SIZE_LIMIT = 64 << 10  # bytes; a real file has a few hundred

_log = logging.getLogger("cdn_manager")


@dataclass(frozen=True)
class Settings:
    """How this machine transfers. None stands for the default of ``CDNManager``.

    Attributes:
        limit_rate: Bytes a second of all transfers together.
        deadline: Seconds for each transfer.
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds to wait for bytes of an answer.
    """

    limit_rate: int | None = None
    deadline: float | None = None
    connect_timeout: float | None = None
    read_timeout: float | None = None

    def client_config(self, **others: Any) -> Config:
        """Return the timeouts, and ``others``, as ``CDNManager`` takes them."""
        timeouts = {"connect_timeout": self.connect_timeout, "read_timeout": self.read_timeout}
        return Config(**{name: seconds for name, seconds in timeouts.items() if seconds is not None}, **others)


@dataclass(frozen=True)
class Configuration:
    """What a file or the environment says.

    Attributes:
        credentials: Where the store is, and the keys.
        settings: How to transfer.
        path: The file; None for the environment.
        release_public_key: The Ed25519 public key that releases must be signed with, as PEM or the line of base64 in
            it; None if they need no signature.
    """

    credentials: CDNCredentials
    settings: Settings
    path: str | None
    release_public_key: str | None = None

    def open_manager(self) -> CDNManager:
        """Return a manager. A rate in the settings becomes the limit of this process.

        Raises:
            botocore.exceptions.BotoCoreError, ValueError: botocore rejects the region.
        """
        if self.settings.limit_rate is not None:
            limit_rate(self.settings.limit_rate)
        return CDNManager(self.credentials, self.settings.client_config(), deadline=self.settings.deadline)


def configuration_path(path: str | os.PathLike[str] | None = None) -> str | None:
    """Return the file that holds the configuration: ``path``, ``$CDN_CONFIG`` or ``cdn.yaml``.

    Returns:
        None if neither of the first two is given, and ``CDN_HOST`` is set: then the environment holds it.
    """
    named = path or os.environ.get("CDN_CONFIG")
    if named:
        return os.fspath(named)
    return None if environment.is_complete(os.environ) else "cdn.yaml"


def load_configuration(path: str | os.PathLike[str] | None = None) -> Configuration:
    """Read the configuration of this machine: from one file, or from the environment, never from both.

    Args:
        path: The YAML file. None to look for it: ``$CDN_CONFIG`` is used if it is set; else the variables ``CDN_HOST``,
            ``CDN_DOWNLOADER_ACCESS_KEY`` and so on, if ``CDN_HOST`` is set; else ``cdn.yaml`` in the working directory.

    Returns:
        The configuration. ``load_configuration().open_manager()`` is ``open_manager()``.

    Raises:
        ConfigError: The file or a variable is invalid; the message lists every problem. Or ``cdn.yaml`` would be used
            although variables with keys are set.
        OSError: The file cannot be read.

    Thread-safety: safe, but for changes to the environment meanwhile.
    """
    found = configuration_path(path)
    try:
        if found is None:
            return _of(environment.read_environment(os.environ), None, environment.variable("host"))
        if path or os.environ.get("CDN_CONFIG"):
            _say_what_is_ignored(found)
        else:
            environment.require_none(os.environ)
    except ConfigError as error:
        problem = f"environment: {error}"
    else:
        return _load(found)
    raise ConfigError(problem)


def load_credentials(path: str | os.PathLike[str]) -> CDNCredentials:
    """Read credentials from a file. Log a warning if other users of this machine can read it too.

    Args:
        path: The YAML file.

    Returns:
        The credentials, ready for ``CDNManager``. The file's other settings are checked, and left out.

    Raises:
        ConfigError: The file is invalid; the message starts with ``path`` and lists every problem.
        OSError: The file cannot be read.

    Thread-safety: safe.
    """
    return _load(os.fspath(path)).credentials


def parse_credentials(text: str) -> CDNCredentials:
    """Read credentials from text.

    Args:
        text: What a ``cdn.yaml`` holds.

    Returns:
        The credentials, ready for ``CDNManager``.

    Raises:
        ConfigError: The text is invalid; the message lists every problem.

    Thread-safety: safe.
    """
    try:
        return _parse(text, None).credentials
    except ConfigError as error:
        problem = str(error)
    del text
    raise ConfigError(problem)


def open_manager(path: str | os.PathLike[str] | None = None) -> CDNManager:
    """Return a manager with the credentials and all settings of this machine.

    Args:
        path: The YAML file; None to look for it, as ``load_configuration`` does.

    Raises: as ``load_configuration`` and ``Configuration.open_manager`` do.

    Thread-safety: as for ``load_configuration``. ``limit_rate`` in the settings is the limit of this whole process.
    """
    return load_configuration(path).open_manager()


def _load(path: str) -> Configuration:
    content = read_secret_file(path, _SIZE_LIMIT + 1)
    try:
        return _parse(_decode(content), path)
    except ConfigError as error:
        problem = f"{path}: {error}"
    del content
    raise ConfigError(problem)


def _parse(text: str, path: str | None) -> Configuration:
    values, lines = read_document(text)
    return _of(values, path, f"line {lines['host']}")


def _of(values: Mapping[str, str], path: str | None, host: str) -> Configuration:
    """Return a configuration. ``host`` is the place of the host, for the error message."""
    credentials = {name: values[name] for name in ("host", "region", *KEYS) if name in values}
    try:
        found = CDNCredentials(**credentials, anonymous=values.get("anonymous") == "true")
    except ValueError as error:  # only the host is left to object to
        raise ConfigError(f"{host}: {error}") from None
    return Configuration(found, _settings_of(values), path, values.get("release_public_key"))


def _settings_of(values: Mapping[str, str]) -> Settings:
    """Return the settings among some valid values."""
    read: dict[str, Any] = {name: limit_of(name, values[name]) for name in LIMITS if name in values}
    return Settings(**read)


def _say_what_is_ignored(path: str) -> None:
    if ignored := environment.set_variables(os.environ):
        _log.warning("%s is used, and not %s from the environment", path, " and ".join(ignored))


def _decode(content: bytes) -> str:
    if len(content) > _SIZE_LIMIT:
        raise ConfigError(f"larger than {_SIZE_LIMIT >> 10} KiB, so not a credentials file")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"line {line}: not UTF-8: save the file in that encoding") from None
