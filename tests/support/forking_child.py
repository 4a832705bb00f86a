"""Uses one manager in a process that forks again and again, in its children, and in threads that run at each fork.

Every transfer is compared with what it should bring. Prints one line for each wrong one, or its traceback; exits with
status 0 if there was none.
"""

import contextlib
import hashlib
import itertools
import os
import random
import sys
import threading
import traceback

from boto3.s3.transfer import TransferConfig

from cdn_manager import CDNCredentials, CDNManager

OBJECTS = 8
CHILDREN = 4  # at a time
PARTS = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20, max_concurrency=3)


def content_of(number):
    """Return what the object of this number holds: one request moves most of them, two move the others."""
    return random.Random(number).randbytes(7 << 20 if number % 4 == 1 else 40_000)


def digest_of(payload):
    return hashlib.sha256(payload).hexdigest()


def transfer(manager, bucket, number, name, digests):
    """Download one object and upload it again under another key. Return True if both went as they should."""
    path = f"{name}.bin"
    manager.fetch(bucket, f"object-{number}", path=path)
    with open(path, "rb") as file:
        payload = file.read()
    os.unlink(path)
    stored = manager.store(bucket, f"copy-{number}", payload)
    if digest_of(payload) == stored.sha256 == digests[number]:
        return True
    print(f"{name}: object-{number} has other bytes", flush=True)
    return False


def checked(manager, bucket, number, name, digests):
    try:
        return transfer(manager, bucket, number, name, digests)
    except Exception:
        print(f"{name}: {traceback.format_exc()}", flush=True)
        return False


def fork(manager, bucket, number, name, digests):
    """Return the process ID of a child that makes one transfer, and then ends as any program does."""
    child = os.fork()
    if child == 0:
        sys.exit(0 if checked(manager, bucket, number, name, digests) else 1)
    return child


def keep_transferring(manager, bucket, name, digests, stop, failures):
    for turn in itertools.count():
        if stop.is_set():
            return
        if not checked(manager, bucket, (turn + len(name)) % OBJECTS, name, digests):
            failures.append(name)


def fork_again_and_again(manager, bucket, forks, digests):
    """Return how many transfers, of the children and of this process beside them, went wrong."""
    failed = 0
    for first in range(0, forks, CHILDREN):
        children = [
            fork(manager, bucket, number % OBJECTS, f"child-{number}", digests)
            for number in range(first, min(first + CHILDREN, forks))
        ]
        failed += not checked(manager, bucket, (first // CHILDREN) % OBJECTS, "parent", digests)
        failed += sum(os.waitpid(child, 0)[1] != 0 for child in children)
    return failed


def main():
    url, bucket, forks, threads, *keys = sys.argv[1:]
    digests = [digest_of(content_of(number)) for number in range(OBJECTS)]
    stop, failures = threading.Event(), []
    with CDNManager(CDNCredentials(url, *keys), transfer_config=PARTS, deadline=300) as manager:
        checked(manager, bucket, 0, "first", digests)  # leaves idle connections
        running = [
            threading.Thread(
                target=keep_transferring, args=(manager, bucket, f"thread{'-' * number}", digests, stop, failures)
            )
            for number in range(int(threads))
        ]
        with contextlib.ExitStack() as ending:
            ending.callback(stop.set)
            for thread in running:
                thread.start()
            failed = fork_again_and_again(manager, bucket, int(forks), digests)
        for thread in running:
            thread.join()
    return 1 if failed or failures else 0


if __name__ == "__main__":
    sys.exit(main())
