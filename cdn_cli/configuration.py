"""Turns the configuration into a manager, and shows the library's log on the terminal."""

import dataclasses
import gc
import logging
from argparse import Namespace
from typing import Any

from cdn_cli.console import UsageError, say
from cdn_config import ConfigError, Configuration, Settings, load_configuration
from cdn_config.values import LIMITS, limit_of, objection_to
from cdn_engine.errors import explain
from cdn_manager import CDNManager

__all__ = ["manager_of", "open_manager", "read_configuration", "read_settings", "show_log"]


def read_configuration(options: Namespace) -> Configuration:
    """Return the configuration. From now on the library's log lines appear on stderr.

    Args:
        options: The command line, whose limits and timeouts come before those in the configuration.

    Raises:
        UsageError: The configuration or an option is invalid, or the file cannot be read.
    """
    show_log(options.quiet)
    limits = _limits(options)
    try:
        found = load_configuration(options.config)
    except FileNotFoundError as error:
        raise UsageError(
            f"no file {error.filename!r}: create it with the lines 'host: URL', 'downloader_access_key: KEY' and "
            "'downloader_access_secret: SECRET' (to upload, 'uploader_...'), name the credentials file with --config "
            "FILE or CDN_CONFIG, or set the variables CDN_HOST, CDN_DOWNLOADER_ACCESS_KEY and so on"
        ) from error
    except ConfigError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"the credentials cannot be read: {explain(error)}") from error
    return dataclasses.replace(found, settings=dataclasses.replace(found.settings, **limits))


def read_settings(options: Namespace) -> Settings:
    """Return what the command line says of limits and timeouts. From now on the library's log lines appear on stderr.

    Args:
        options: The command line of a command that needs no credentials.

    Raises:
        UsageError: An option is invalid.
    """
    show_log(options.quiet)
    return Settings(**_limits(options))


def _limits(options: Namespace) -> dict[str, Any]:
    """Return the settings on the command line by name."""
    given = {name: text for name in LIMITS if (text := getattr(options, name)) is not None}
    for name, text in given.items():
        if problem := objection_to(name, text):
            raise UsageError(f"--{name.replace('_', '-')} {problem}")
    return {name: limit_of(name, text) for name, text in given.items()}


def open_manager(options: Namespace) -> CDNManager:
    """Return a manager.

    Args:
        options: The command line.

    Raises:
        UsageError: The configuration or an option is invalid, or the file cannot be read.
    """
    return manager_of(read_configuration(options))


def manager_of(configuration: Configuration) -> CDNManager:
    """Return a manager for a configuration."""
    manager = configuration.open_manager()
    # boto3 and the model of S3 are tens of thousands of objects, which Python would look through again and again
    # while it makes them, and when it exits: a third of the time of a command that moves one small file.
    gc.freeze()
    gc.enable()
    return manager


class _ConsoleHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def show_log(quiet: bool) -> None:
    """Have the library's log lines appear on stderr from now on; only errors if ``quiet``."""
    level = logging.ERROR if quiet else logging.INFO
    logger = logging.getLogger("cdn_manager")
    logger.setLevel(logging.INFO)
    logger.handlers = [handler for handler in logger.handlers if not isinstance(handler, _ConsoleHandler)]
    logger.addHandler(_ConsoleHandler(level))
