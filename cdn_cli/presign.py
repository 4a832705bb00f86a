"""The command ``presign``."""

import time
from argparse import Namespace

from cdn_cli.configuration import open_manager
from cdn_cli.console import DONE, UsageError, print_event, say

__all__ = ["run"]

_LONGEST = 7 * 86400  # seconds; AWS Signature Version 4 allows no more


def run(options: Namespace) -> int:
    """Print a presigned URL. Return the exit status."""
    seconds = int(options.expires)
    if not 1 <= seconds <= _LONGEST:
        raise UsageError("--expires must be from 1s to 7d: no store accepts a longer time")
    with open_manager(options) as manager:
        client = manager.download_client
        if client is None or not client.store.is_signed:
            raise UsageError("the credentials have no downloader_access_key, which would sign the URL")
        url = client.generate_presigned_url(
            "get_object", Params={"Bucket": options.bucket, "Key": options.key}, ExpiresIn=seconds
        )
        if client.store.keys.frozen.token is not None and not options.quiet:
            say("the keys are short-lived: the URL ends with their session, if that comes first")
    if options.json:
        print_event({
            "event": "url", "bucket": options.bucket, "key": options.key, "url": url,
            "expires": int(time.time()) + seconds,
        })  # fmt: skip
    else:
        print(url)
    return DONE
