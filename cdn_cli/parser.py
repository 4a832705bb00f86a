"""Defines the command line: commands, options, help texts, and what an argument may look like."""

import argparse
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable
from typing import Any, NoReturn

from cdn_cli.console import printable

__all__ = ["VALUED_OPTIONS", "build_parser"]

VALUED_OPTIONS = frozenset({"--config", "--into", "--jobs", "--prefix", "--sha256"})

_WIDTH = 80  # columns of --help on every terminal, because the documentation shows the same text

_EPILOG = """\
examples:
  cdn-manager upload models release/ --prefix v2
  cdn-manager download models v2/model.safetensors --into /srv/models
  cdn-manager check models v2/model.safetensors

exit status: 0 all done, 1 something failed, 2 usage or configuration, 130 ^C"""

_UPLOAD = """\
Upload files to a bucket. A file given by name is stored under its file name, a
file in a directory under its path relative to that directory. Each object
carries its SHA-256, so that every download can be verified, and a file that is
stored already is not sent again."""

_DOWNLOAD = """\
Download objects to BUCKET/KEY, or to DIR/KEY. An interrupted download resumes
when you run the command again; a file only appears once it is complete and
verified. A key that leads out of the directory, such as '../x', is refused."""

_CHECK = """\
Find out what is wrong between this machine and the store. With BUCKET, write a
small object and delete it again, to see what the keys may do and what the store
supports. With KEY, also see whether that object can be read and fits on disk."""


def build_parser() -> ArgumentParser:
    """Return the parser. The namespace it makes has ``run``, a function that takes it and returns the exit status."""
    parser = _parser(
        _Parser,
        prog="cdn-manager",
        usage="cdn-manager [--config FILE] COMMAND ...",
        description="Move big files to and from an S3-compatible CDN.",
        epilog=_EPILOG,
    )
    _add_common(parser, "show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, prog="cdn-manager")
    _add_upload(commands.add_parser)
    _add_download(commands.add_parser)
    _add_check(commands.add_parser)
    return parser


def _add_upload(add_parser: Callable[..., ArgumentParser]) -> None:
    upload = _parser(
        add_parser, "upload", help="upload files and directories", description=_UPLOAD,
        usage="cdn-manager upload BUCKET PATH... [options]",
    )  # fmt: skip
    upload.add_argument("bucket", metavar="BUCKET", type=_bucket)
    upload.add_argument("paths", metavar="PATH", nargs="+", type=_given, help="file or directory")
    upload.add_argument("--prefix", metavar="P", type=_prefix, default="", help="put P/ before each key")
    _add_jobs(upload)
    replacing = upload.add_mutually_exclusive_group()
    for option, overwrite, text in (
        ("--force", True, "send unchanged files too"), ("--no-overwrite", False, "do not replace existing objects"),
    ):  # fmt: skip
        replacing.add_argument(option, dest="overwrite", action="store_const", const=overwrite, help=text)
    _add_common(upload)
    upload.set_defaults(run=_run_upload, overwrite="changed")


def _add_download(add_parser: Callable[..., ArgumentParser]) -> None:
    download = _parser(
        add_parser, "download", help="download objects", description=_DOWNLOAD,
        usage="cdn-manager download BUCKET KEY... [options]\n"
              "       cdn-manager download BUCKET --prefix P [options]",
    )  # fmt: skip
    download.add_argument("bucket", metavar="BUCKET", type=_bucket)
    download.add_argument("keys", metavar="KEY", nargs="*", type=_key, help="key of an object")
    download.add_argument("--prefix", metavar="P", type=_prefix, help="download every object below P/")
    download.add_argument("--into", metavar="DIR", type=_given, help="download to DIR/KEY instead of BUCKET/KEY")
    _add_jobs(download)
    download.add_argument("--sha256", metavar="HEX", type=_sha256, help="the digest that the one KEY must have")
    _add_common(download)
    download.set_defaults(run=_run_download)


def _add_check(add_parser: Callable[..., ArgumentParser]) -> None:
    check = _parser(
        add_parser, "check", help="find out what is wrong", description=_CHECK,
        usage="cdn-manager check [BUCKET [KEY]] [options]",
    )  # fmt: skip
    check.add_argument("bucket", metavar="BUCKET", nargs="?", type=_bucket)
    check.add_argument("key", metavar="KEY", nargs="?", type=_key)
    check.add_argument("--into", metavar="DIR", type=_given, help="test the disk of DIR instead of BUCKET's")
    check.add_argument("--uploader-may-read", action="store_true", help="only warn of an uploader key that can read")
    _add_common(check)
    check.set_defaults(run=_run_check)


# Imported when they run, because boto3 alone takes a quarter of a second.


def _run_upload(options: Namespace) -> int:
    from cdn_cli.upload import run

    return run(options)


def _run_download(options: Namespace) -> int:
    from cdn_cli.download import run

    return run(options)


def _run_check(options: Namespace) -> int:
    from cdn_cli.check import run

    return run(options)


def _parser(make: Callable[..., ArgumentParser], *name: str, **arguments: Any) -> ArgumentParser:
    def formatter(prog: str) -> RawDescriptionHelpFormatter:
        return RawDescriptionHelpFormatter(prog, max_help_position=26, width=_WIDTH)

    return make(*name, formatter_class=formatter, allow_abbrev=False, **arguments)


def _add_common(parser: ArgumentParser, version: str = argparse.SUPPRESS) -> None:
    """Add the options of every command, and ``--version`` with its help."""
    parser.add_argument(
        "--config", metavar="FILE", type=_given, help="credentials file; default: $CDN_CONFIG or ./cdn.yaml"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    parser.add_argument("--quiet", action="store_true", help="print only errors")
    parser.add_argument("--verbose", action="store_true", help="print a line for each file, and tracebacks")
    parser.add_argument("--version", action=_Version, nargs=0, help=version)


def _add_jobs(parser: ArgumentParser) -> None:
    parser.add_argument("--jobs", metavar="N", type=_jobs, default=4, help="transfers at a time; default: 4")


def _bucket(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,255}", text):  # botocore's own rule
        raise ArgumentTypeError("must be letters, digits, '.', '-' or '_': the name only, without s3://")
    return text


def _given(text: str) -> str:
    if not text:  # such as "$DIR" in a script where DIR is not set
        raise ArgumentTypeError("must not be empty")
    return text


def _key(text: str) -> str:
    try:
        _given(text).encode()
    except UnicodeEncodeError:  # a name from a machine with another encoding
        raise ArgumentTypeError("must be UTF-8, as every key is") from None
    return text


def _jobs(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise ArgumentTypeError("must be a number from 1 to 256")
    return int(text)


def _prefix(text: str) -> str:
    folder = text.strip("/")
    if folder:
        _key(folder)
    return folder and f"{folder}/"


def _sha256(text: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise ArgumentTypeError("must be 64 hexadecimal digits")
    return text


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments: -"):
            message += "; what begins with '-' and is no option goes behind '--'"
        super().error(printable(message))  # it quotes what was typed


class _Version(argparse.Action):
    def __call__(self, parser: ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"cdn-manager {version('cdn-manager')}")
        parser.exit()
