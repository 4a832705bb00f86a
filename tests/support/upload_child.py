"""A process that uploads one object with a write key alone, for tests that kill it."""

import sys
from pathlib import Path

from cdn_manager import CDNCredentials, CDNManager


def main(url, access_key, secret, bucket, key, path, as_bytes):
    with CDNManager(CDNCredentials(url, None, None, access_key, secret)) as manager:
        if as_bytes == "bytes":
            return 0 if manager.upload_bytes(bucket, key, Path(path).read_bytes()) else 1
        manager.store(bucket, key, path)
        return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
