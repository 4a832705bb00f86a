"""Turns the configuration into a manager, and shows the library's log on the terminal."""

import gc
import logging
import os
from argparse import Namespace

from cdn_cli.console import UsageError, say
from cdn_config import ConfigError, load_credentials
from cdn_engine.errors import explain
from cdn_manager import CDNCredentials, CDNManager

__all__ = ["config_path", "open_manager", "read_credentials"]


def config_path(option: str | None) -> str:
    """Return which file holds the credentials.

    Args:
        option: What ``--config`` says, None without it.
    """
    return option or os.environ.get("CDN_CONFIG") or "cdn.yaml"


def read_credentials(path: str, quiet: bool) -> CDNCredentials:
    """Return the credentials in a file. From now on the library's log lines appear on stderr.

    Args:
        path: The file.
        quiet: Show only the errors in the log.

    Raises:
        UsageError: The file does not hold credentials, or cannot be read.
    """
    _show_log(logging.ERROR if quiet else logging.INFO)
    try:
        return load_credentials(path)
    except FileNotFoundError as error:
        raise UsageError(
            f"no file {path!r}: create it with the lines 'host: URL', 'downloader_access_key: KEY' and "
            "'downloader_access_secret: SECRET' (to upload, 'uploader_...'), or name the credentials file with "
            "--config FILE or CDN_CONFIG"
        ) from error
    except ConfigError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"the credentials cannot be read: {explain(error)}") from error


def open_manager(options: Namespace) -> CDNManager:
    """Return a manager.

    Args:
        options: The command line.

    Raises:
        UsageError: The file does not hold credentials, or cannot be read.
    """
    manager = CDNManager(read_credentials(config_path(options.config), options.quiet))
    # boto3 and the model of S3 are tens of thousands of objects, which Python would look through again and again
    # while it makes them, and when it exits: a third of the time of a command that moves one small file.
    gc.freeze()
    gc.enable()
    return manager


class _ConsoleHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def _show_log(level: int) -> None:
    logger = logging.getLogger("cdn_manager")
    logger.setLevel(level)
    logger.handlers = [_ConsoleHandler()]
