# PYTHON_ARGCOMPLETE_OK
"""The command ``cdn-manager``.

What takes long to import is imported where it is needed: ``--help`` and the shell's completion answer at once.
"""

import argparse
import contextlib
import json
import os
import re
import sys

__all__ = ["build_parser", "main"]

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

# Stands for the folder that a key will be downloaded to: none of this machine, whose links say nothing about it.
_EDGE_FOLDER = "the folder of a download"

_WIDTH = 80  # columns of --help, whatever the terminal: the same text is in the documentation

_EPILOG = """\
examples:
  cdn-manager upload models release/ --prefix v2
  cdn-manager download models v2/model.safetensors --into /srv/models
  cdn-manager check models v2/model.safetensors

exit status: 0 all done, 1 something failed, 2 usage or configuration, 130 ^C"""

_UPLOAD = """\
Put files into a bucket. A file's key is its name; below a directory, it is the
path relative to that directory. Each object carries its SHA-256, so that every
download can be verified."""

_DOWNLOAD = """\
Get objects into the folder BUCKET, or below DIR: an object's path there is its
key. What was broken off is resumed; a file is whole and verified, or not there.
A key that leads elsewhere, such as '../x', is refused."""

_CHECK = """\
Find out what is wrong between this machine and the store. With a BUCKET, a small
object is written to it and removed again, to see what the keys may do and what
the store can. KEY is an object to read as well: is it there, does it fit here?"""


def main(arguments=None):
    """Run the command.

    Args:
        arguments: Those of the command line; by default the process's own.

    Returns:
        The exit status.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started us; print would take the other one for it
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    try:
        status = _main(arguments)
    except SystemExit as ended:  # argparse's way out
        status = ended.code
    return _flush(status)


def _main(arguments):
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)
    options = parser.parse_args(arguments)
    if hasattr(sys.stdout, "reconfigure"):  # not a StringIO in its place
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr is: a key may hold what its encoding lacks
    try:
        return options.run(options)
    except _UsageError as error:
        return _complain(error, options, USAGE)
    except ModuleNotFoundError as error:
        return _complain(f"{error}: install cdn-manager with its extra 'cli'", options, USAGE)
    except KeyboardInterrupt:
        return _complain("interrupted", options, INTERRUPTED)
    except BrokenPipeError:
        return FAILED  # who read our output has gone
    except Exception as error:
        return _complain(error, options, FAILED)


def _flush(status):
    """Write what is left of the output. Return the status, or that of a failure if the output cannot take it."""
    for stream in (sys.stderr, sys.stdout):
        try:
            stream.flush()
        except OSError as error:
            if status == DONE and not isinstance(error, BrokenPipeError):
                _say(f"the output cannot be written: {error.strerror}")
            # Python flushes once more at its end; to fail there would be exit status 120.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            status = status or FAILED
    return status


def _say(text):
    with contextlib.suppress(OSError):  # the terminal has gone
        print(f"cdn-manager: {text}", file=sys.stderr)


def build_parser():
    """Return the parser of the command."""
    parser = _parser(
        argparse.ArgumentParser,
        prog="cdn-manager",
        usage="cdn-manager [--config FILE] COMMAND ...",
        description="Move big files to and from an S3-compatible CDN.",
        epilog=_EPILOG,
    )
    _add_common(parser)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    parser.set_defaults(config=None, json=False, quiet=False, verbose=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, prog="cdn-manager")

    upload = _parser(
        commands.add_parser, "upload", help="put files and directories into a bucket", description=_UPLOAD,
        usage="cdn-manager upload BUCKET PATH... [options]",
    )  # fmt: skip
    upload.add_argument("bucket", metavar="BUCKET", type=_bucket)
    upload.add_argument("paths", metavar="PATH", nargs="+", help="file or directory")
    upload.add_argument("--prefix", metavar="P", default="", help="put P/ before each key")
    _add_jobs(upload)
    upload.add_argument("--no-overwrite", action="store_true", help="refuse to replace an object")
    _add_common(upload)
    upload.set_defaults(run=_upload)

    download = _parser(
        commands.add_parser, "download", help="get objects from a bucket", description=_DOWNLOAD,
        usage="cdn-manager download BUCKET KEY... [options]\n"
              "       cdn-manager download BUCKET --prefix P [options]",
    )  # fmt: skip
    download.add_argument("bucket", metavar="BUCKET", type=_bucket)
    download.add_argument("keys", metavar="KEY", nargs="*", help="key of an object")
    download.add_argument("--prefix", metavar="P", help="get all objects whose key is below P/")
    download.add_argument("--into", metavar="DIR", help="download to DIR/KEY, not to BUCKET/KEY")
    _add_jobs(download)
    download.add_argument("--sha256", metavar="HEX", type=_sha256, help="digest that the one KEY must have")
    _add_common(download)
    download.set_defaults(run=_download)

    check = _parser(
        commands.add_parser, "check", help="find out what is wrong", description=_CHECK,
        usage="cdn-manager check [BUCKET [KEY]] [options]",
    )  # fmt: skip
    check.add_argument("bucket", metavar="BUCKET", nargs="?", type=_bucket)
    check.add_argument("key", metavar="KEY", nargs="?")
    _add_common(check)
    check.set_defaults(run=_check)
    return parser


def _add_common(parser):
    """Add the options that may stand before the command as well as behind it."""
    # Without a default of its own, the command leaves what stood before it.
    unset = {"default": argparse.SUPPRESS}
    parser.add_argument("--config", metavar="FILE", help="credentials; else $CDN_CONFIG, else ./cdn.yaml", **unset)
    parser.add_argument("--json", action="store_true", help="write one JSON object a line", **unset)
    parser.add_argument("--quiet", action="store_true", help="write nothing but errors", **unset)
    parser.add_argument("--verbose", action="store_true", help="write a line for each file, and tracebacks", **unset)


def _parser(make, *name, **arguments):
    def formatter(prog):
        return argparse.RawDescriptionHelpFormatter(prog, max_help_position=26, width=_WIDTH)

    return make(*name, formatter_class=formatter, allow_abbrev=False, **arguments)


def _add_jobs(parser):
    parser.add_argument("--jobs", metavar="N", type=_jobs, default=4, help="transfers at once; default: 4")


def _bucket(text):
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,255}", text):  # botocore's own rule
        raise argparse.ArgumentTypeError("must be letters, digits, '.', '-' or '_': the name only, without s3://")
    return text


def _jobs(text):
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError("must be a number from 1 to 256")
    return int(text)


def _sha256(text):
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise argparse.ArgumentTypeError("must be 64 hexadecimal digits")
    return text


class _Version(argparse.Action):
    def __call__(self, parser, *_):
        from importlib.metadata import version

        print(f"cdn-manager {version('cdn-manager')}")
        parser.exit()


class _UsageError(Exception):
    """The command line or the configuration is wrong."""


def _complain(problem, options, status, subject=""):
    """Write one line to stderr, below the traceback if that is wanted, and return ``status``."""
    from cdn_progress import printable

    text = problem
    if isinstance(problem, Exception):
        from cdn_errors import explain

        text = explain(problem)
        if options.verbose:
            import traceback

            traceback.print_exception(problem)
    _say(printable(subject + text))
    return status


# Configuration


def _config_path(options):
    return options.config or os.environ.get("CDN_CONFIG") or "cdn.yaml"


def _credentials(options):
    _show_log(options)
    from cdn_config import ConfigError, load_credentials
    from cdn_errors import explain

    path = _config_path(options)
    try:
        return load_credentials(path)
    except FileNotFoundError as error:
        raise _UsageError(f"no file {path!r}: name the credentials with --config FILE or CDN_CONFIG") from error
    except ConfigError as error:
        raise _UsageError(str(error)) from error
    except OSError as error:
        raise _UsageError(f"the credentials cannot be read: {explain(error)}") from error


def _show_log(options):
    """Let the library's log lines appear between the command's own."""
    import logging

    class Handler(logging.Handler):
        def emit(self, record):
            _say(self.format(record))

    logger = logging.getLogger("cdn_manager")
    logger.setLevel(logging.ERROR if options.quiet else logging.INFO)
    logger.handlers = [Handler()]


def _manager(options):
    from botocore.config import Config

    from cdn_manager import CDNManager

    connections = 8 * options.jobs  # the engines open up to 8 for one transfer
    return CDNManager(_credentials(options), config=Config(max_pool_connections=connections))


# Commands


def _upload(options):
    from cdn_batch import Transfer

    transfers = [Transfer(key, path, _size(path)) for key, path in _keys(options).items()]
    with _manager(options) as manager:
        if manager.upload_client is None:
            raise _UsageError("the credentials hold no uploader_access_key: this machine cannot upload")

        def move(transfer, progress, _):
            if os.path.exists(transfer.path) and not os.path.isfile(transfer.path):
                raise ValueError(f"{transfer.path!r} is neither a file nor a directory")
            return manager.store(
                options.bucket, transfer.key, transfer.path, progress, overwrite=not options.no_overwrite
            )

        return _run(options, move, transfers, "uploaded", "what is not done was not stored: run the command again")


def _size(path):
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def _keys(options):
    """Return the local files by the keys that they will have."""
    from cdn_errors import UnsafePathError
    from cdn_paths import RESERVED_PREFIX, path_below

    config = _config_path(options)
    files = {}
    for path in options.paths:
        for relative, file in _files(path, options):
            if os.path.basename(file).startswith(RESERVED_PREFIX):
                continue  # an unfinished download
            if _is_same(file, config):
                raise _UsageError(f"{file!r} is the configuration in use: this would publish the credentials")
            key = _below(options.prefix) + relative.replace(os.sep, "/")
            try:
                path_below(_EDGE_FOLDER, key)
            except UnsafePathError as error:
                raise _UsageError(f"{file!r}: rename the file, or change --prefix: {error}") from error
            if files.setdefault(key, file) != file:
                raise _UsageError(f"{files[key]!r} and {file!r} would both become the object {key!r}")
    if not files:
        raise _UsageError("there is nothing to upload: no file below the directories given")
    return files


def _is_same(path, other):
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def _files(path, options):
    """Yield the relative and the full name of a file, or of all files below a directory."""
    if not os.path.isdir(path):
        yield os.path.basename(os.path.normpath(path)), path
        return

    def fail(error):
        raise error

    for parent, folders, names in os.walk(path, onerror=fail):
        folders.sort()
        for folder in folders:
            link = os.path.join(parent, folder)
            if os.path.islink(link) and not options.quiet:
                _complain(f"{link!r} is a link to a directory, and left out", options, DONE)
        for name in sorted(names):
            file = os.path.join(parent, name)
            yield os.path.relpath(file, path), file


def _below(prefix):
    folder = prefix.strip("/")
    return folder and f"{folder}/"


def _download(options):
    if bool(options.keys) == (options.prefix is not None):
        raise _UsageError("download needs either one KEY or more, or --prefix")
    if options.sha256 and len(set(options.keys)) != 1:
        raise _UsageError("--sha256 is the digest of one object: give one KEY with it")
    for key in options.keys:
        if key.endswith("/"):
            raise _UsageError(f"{key!r} names no object: --prefix {key} gets all below it")
    with _manager(options) as manager:
        if manager.download_client is None:
            raise _UsageError("the credentials hold no downloader_access_key: this machine cannot download")
        transfers = _objects(options, manager.download_client)
        if not transfers:
            return _complain(f"no object below {_below(options.prefix)!r} in {options.bucket!r}", options, FAILED)
        from cdn_paths import local_path, path_below

        def move(transfer, progress, batch):
            if options.into is None:
                path = local_path(options.bucket, transfer.key)
            else:
                path = path_below(options.into, transfer.key)
            size = transfer.size
            if size is None and batch.display.wants_sizes:
                size = _object_size(manager.download_client, options.bucket, transfer.key)
            batch.expect(transfer, size, _left_behind(path))
            return manager.fetch(options.bucket, transfer.key, path, progress, options.sha256)

        return _run(options, move, transfers, "downloaded", "what came is kept: run the command again to continue")


def _objects(options, client):
    """Return the transfers of the keys given, or of all keys below the prefix."""
    from cdn_batch import Transfer

    folder = options.bucket if options.into is None else options.into
    if options.keys:
        sizes = dict.fromkeys(options.keys)
    else:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=options.bucket, Prefix=_below(options.prefix))
        found = (entry for page in pages for entry in page.get("Contents", ()))
        # A key that ends with "/" is what some tools put in a directory's place.
        sizes = {entry["Key"]: entry["Size"] for entry in found if not entry["Key"].endswith("/")}
    return [Transfer(key, os.path.join(folder, *key.split("/")), size) for key, size in sizes.items()]


def _object_size(client, bucket, key):
    """Return the size of an object in bytes, None if the store does not tell it."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return client.head_object(Bucket=bucket, Key=key)["ContentLength"]
    except (BotoCoreError, ClientError):
        return None  # the download itself will say why, and a HEAD has no words


def _left_behind(path):
    """Return how many bytes of a download an earlier call has left."""
    from cdn_partial import Partial

    journal = Partial(path).read_journal()
    return 0 if journal is None else sum(stop - start for start, stop in journal["finished"])


def _run(options, move, transfers, verb, advice):
    """Run the transfers, tell how it ended, and return the exit status."""
    import cdn_progress
    from cdn_batch import Batch

    display = cdn_progress.choose(options, options.bucket, transfers)
    with Batch(lambda transfer, progress: move(transfer, progress, batch), transfers, options.jobs, display) as batch:
        try:
            with display:
                batch.run()
            status = _tell_end(options, batch, verb, advice)
        except OSError:
            if batch.signal is None:
                raise
            status = _by_signal(batch.signal)  # the terminal has gone: nobody can be told
        if batch.running:
            os._exit(_flush(status))  # threads that wait for a dead connection would hold up the usual way out
    return status


def _tell_end(options, batch, verb, advice):
    """Tell how the batch ended, and return the exit status."""
    if batch.error is not None and batch.signal is None:
        quiet = isinstance(batch.error, BrokenPipeError)
        return FAILED if quiet else _complain(batch.error, options, FAILED, "the output cannot be written: ")
    count = len(batch.transfers)
    summary = {
        "event": "summary",
        "done": len(batch.done),
        "failed": len(batch.failed),
        "not_tried": count - len(batch.begun),
        "interrupted": batch.signal is not None,
        "size": sum(result.size for result in batch.done.values()),
        "transferred": sum(result.transferred for result in batch.done.values()),
        "resumed": sum(result.resumed_from for result in batch.done.values()),
        "seconds": round(batch.seconds, 3),
    }
    if options.json:
        print(json.dumps(summary))
    elif not options.quiet:
        _print_summary(summary, count, verb)
    for transfer, error in batch.failed.items():
        _complain(error, options, FAILED, f"{options.bucket}/{transfer.key}: ")
    if batch.signal is not None:
        text = f"interrupted with {len(batch.done)} of {count} done; {advice}"
        return _complain(text, options, _by_signal(batch.signal))
    if summary["not_tried"]:
        text = f"no connection to the store: {summary['not_tried']} of {count} files were not tried"
        return _complain(text, options, FAILED)
    return FAILED if batch.failed else DONE


def _by_signal(number):
    return 128 + number  # as a shell has it for a process that a signal has ended


def _print_summary(summary, count, verb):
    from cdn_progress import size_text

    if count == summary["done"]:
        files = "1 file" if count == 1 else f"{count} files"
    else:
        files = f"{summary['done']} of {count} files"
    resumed = f", {size_text(summary['resumed'])} of them resumed" if summary["resumed"] else ""
    rate = f"{size_text(int(summary['transferred'] / max(summary['seconds'], 0.001)))}/s"
    if count == summary["done"] and not summary["transferred"]:
        rate = "nothing had to be transferred"
    print(f"{verb} {files}, {size_text(summary['size'])} in {summary['seconds']:.1f} s ({rate}){resumed}")


def _check(options):
    credentials = _credentials(options)
    from cdn_check import check

    write = _finding_writer(options)
    failed = False
    for finding in check(credentials, options.bucket, options.key):
        failed |= finding.state == "failed"
        write(finding)
    return FAILED if failed else DONE


def _finding_writer(options):
    """Return a function that writes one finding as a line."""
    from cdn_progress import printable

    if options.json:
        return lambda finding: print(json.dumps({"event": "finding", **finding._asdict()}), flush=True)

    def line(finding):
        text = f"{finding.text} -> {finding.advice}" if finding.advice else finding.text
        return f"{finding.name:<24}{printable(text)}"

    if options.quiet:
        return lambda finding: finding.state == "failed" and print(line(finding), file=sys.stderr)
    if sys.stdout.isatty():
        try:
            from rich.console import Console
            from rich.text import Text
        except ImportError:
            pass
        else:
            colors = {"ok": "green", "failed": "bold red", "skipped": "yellow"}
            console = Console()
            return lambda finding: console.print(
                Text.assemble((f"{finding.state:<8}", colors[finding.state]), line(finding)), soft_wrap=True
            )
    return lambda finding: print(f"{finding.state:<8}{line(finding)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
