"""Downloads that are killed or interrupted while bytes flow."""

import os
import signal
import ssl
import time

import pytest
import trustme
from boto3.s3.transfer import TransferConfig
from downloads import interrupt, run_killed, start_child
from fault_proxy import Proxy
from local_store import READER
from objects import PART, is_whole, payload_of, put, sha256_of, unfinished_files

from cdn_engine.download.small import SmallFile
from cdn_engine.download.transfer import Transfer
from cdn_manager import CDNCredentials, CDNManager


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_download_resumes_after_sigkill(store, admin, bucket, folder):
    size = 24 * PART
    digest = put(admin, bucket, "object", payload_of(size))

    def journals():
        return {path.stat().st_ino for path in (folder / bucket).glob(".cdn-*.journal")}

    def wait_for_a_new_journal(child):
        before = journals()
        while journals() <= before and child.poll() is None:
            time.sleep(0.01)

    with Proxy(store.url, link=2 * PART) as link:
        kept = run_killed(link, bucket, "object", digest, folder, 3, wait_for_a_new_journal)
        assert len(kept) == 3
        assert 0 < kept[0] < kept[1] < kept[2]
        link.link, sent = 16 * PART, link.bytes_sent
        child = start_child(link.url, bucket, "object", folder)
        child.communicate()
        assert child.returncode == 0
        assert link.bytes_sent - sent < size - kept[2] / 2
    assert sha256_of(folder / bucket / "object") == digest
    assert unfinished_files(folder) == []


@pytest.mark.skipif(os.name == "nt", reason="needs the signals of POSIX")
def test_ctrl_c_stops_a_flowing_download(store, admin, bucket, folder):
    put(admin, bucket, "object", payload_of(32 * PART))
    with Proxy(store.url, link=PART // 2) as link:  # the whole takes a minute
        child = start_child(link.url, bucket, "object", folder)
        assert child.stdout.readline() == "flowing\n"
        sent_at = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == "interrupted with 1 thread\n"
        assert time.monotonic() - sent_at < 10
        child.communicate()
    assert len(unfinished_files(folder)) == 3


@pytest.mark.parametrize(
    ("carrier", "config"), [(SmallFile, None), (Transfer, TransferConfig())], ids=["small", "large"]
)
def test_ctrl_c_at_the_end_gives_the_lock_back(carrier, config, store, samples, folder, monkeypatch):
    usual, presses = carrier.finally_do, [KeyboardInterrupt]

    def interrupted(*arguments):
        if presses:
            raise presses.pop()
        usual(*arguments)

    monkeypatch.setattr(carrier, "finally_do", interrupted)
    with CDNManager(CDNCredentials(store.url, *READER), transfer_config=config, deadline=600) as manager:
        with pytest.raises(KeyboardInterrupt):
            manager.fetch(samples, "with-digest")
        assert unfinished_files(folder) == []
        manager.fetch(samples, "with-digest")


def test_interrupted_tls_connection_adds_no_ciphertext(store, samples, folder, monkeypatch):
    """What can be read from a TLS connection after it was cut is not the object's content."""
    paced = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_bandwidth=4 * PART)
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with authority.cert_pem.tempfile() as bundle, Proxy(store.url, tls=context) as link:
        monkeypatch.setenv("AWS_CA_BUNDLE", bundle)
        with CDNManager(CDNCredentials(link.url, *READER), transfer_config=paced) as manager:
            interrupt(manager, samples, "without-digest", PART // 2)
        with CDNManager(CDNCredentials(link.url, *READER)) as manager:
            assert manager.fetch(samples, "without-digest").resumed_from > 0
    assert is_whole(folder / samples / "without-digest")
