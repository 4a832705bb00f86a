"""Finds out what is wrong between this machine and the store."""

import http.client
import os
import secrets
import shutil
import socket
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.httpsession import ProxyConfiguration, get_cert_path
from botocore.utils import get_environ_proxies
from urllib3.exceptions import HTTPError

from cdn_errors import CDNError, ObjectExistsError, explain
from cdn_manager import CDNManager
from cdn_progress import size_text
from constants import logerror

__all__ = ["Finding", "check"]

_TIMEOUT = 10  # seconds for one connection or answer on the way to the store
_DEADLINE = 60  # seconds for one upload with its retries

# Beyond this, S3 answers RequestTimeTooSkewed; other stores take the number over.
_SKEW_LIMIT = 900  # seconds

_CONTENT = b"cdn-manager check"

# The codes with which a store refuses a key as such, whatever it may do.
_KEY_REFUSED = frozenset({"InvalidAccessKeyId", "RequestTimeTooSkewed", "SignatureDoesNotMatch"})

# https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/
_CERTIFICATE = {
    9: ("the certificate is not valid yet", "set this machine's clock, or have the certificate replaced"),
    10: ("the certificate has expired", "have it renewed at the store; if it was, set this machine's clock"),
    18: ("the certificate is self-signed", "name its file in AWS_CA_BUNDLE"),
    19: ("the certificate's CA is not known here", "name the CA's file in AWS_CA_BUNDLE"),
    20: ("the certificate's CA is not known here", "name the CA's file in AWS_CA_BUNDLE"),
    62: ("the certificate is for another host", "correct host in cdn.yaml, or the certificate"),
    64: ("the certificate is for another address", "correct host in cdn.yaml, or the certificate"),
}

_FAILURES = (BotoCoreError, ClientError, CDNError, OSError, HTTPError)


class Finding(NamedTuple):
    """What one test has found.

    Attributes:
        name: What was tested.
        state: ``ok``, ``failed``, or ``skipped`` where it could not be tested.
        text: What was seen.
        advice: What to do about it, or empty.
    """

    name: str
    state: str
    text: str
    advice: str = ""


def check(credentials, bucket=None, key=None):
    """Test the way to the store, and what the keys may do in a bucket.

    Args:
        credentials: A ``cdn_manager.CDNCredentials``.
        bucket: The bucket to test in. Small objects are written to it, if a key may, and removed again.
        key: An object to read as well. Without an upload key it is also the one to test the store's abilities on.

    Yields:
        A ``Finding`` for each test, as soon as it is done.

    Thread-safety: safe.
    """
    reachable = yield from _check_way(credentials.host)
    size = 0
    if not reachable:
        yield Finding("store", "skipped", "cannot be tested before the way to it is open")
    elif bucket is None:
        yield Finding("store", "skipped", "not tested without a BUCKET")
    else:
        config = Config(retries={"total_max_attempts": 2})
        with CDNManager(credentials, config=config, deadline=_DEADLINE) as manager:
            probe = _Probe(manager, bucket, key)
            try:
                yield from probe.findings()
            except BaseException:  # a Ctrl-C, or the caller has gone: no finding would reach anyone
                for finding in probe.remove():
                    if finding.state != "ok":
                        logerror(f"check: {finding.text}")
                raise
            yield from probe.remove()
            size = probe.size
    yield _check_disk(size)


def _check_disk(size):
    free = shutil.disk_usage(os.curdir).free
    if free > size:
        return Finding("disk", "ok", f"{size_text(free)} free in this directory")
    return Finding("disk", "failed", f"{size_text(free)} free for an object of {size_text(size)}", "make room")


# The way to the store


class _Proxy:
    """The proxy that the S3 client will use for a host, by the same rules; false where there is none.

    Raises:
        ValueError: The proxy variables hold no URL.
    """

    def __init__(self, host):
        configuration = ProxyConfiguration(get_environ_proxies(host))
        url = configuration.proxy_url_for(host)
        self.parts = url and urlsplit(url)
        self.headers = configuration.proxy_headers_for(url) if url else {}
        if url and not (self.parts.hostname and self.parts.port != 0):
            raise ValueError

    def __bool__(self):
        return bool(self.parts)

    def __str__(self):
        return f"the proxy {self.parts.hostname}"


def _check_way(host):
    """Yield the findings about the network. Return True if the store answers."""
    store = urlsplit(host)
    try:
        proxy = _Proxy(host)
    except ValueError:  # its text would quote the password
        yield Finding("host resolves", "failed", f"the proxy variables hold no URL for {store.scheme}",
                      "correct HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, in small letters too")  # fmt: skip
        return False
    near = proxy.parts or store
    port = near.port or (443 if near.scheme == "https" else 80)
    what = str(proxy) if proxy else near.hostname
    where = "the proxy variables" if proxy else "host in cdn.yaml"
    try:
        found = socket.getaddrinfo(near.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        yield Finding("host resolves", "failed", f"{what}: {explain(error)}", f"correct {where}, or the DNS here")
        return False
    addresses = sorted({address[0] for *_, address in found})
    is_address = addresses == [near.hostname]
    yield Finding("host resolves", "ok", what if is_address else f"{what} is {', '.join(addresses)}")

    began = time.monotonic()
    try:
        socket.create_connection((near.hostname, port), _TIMEOUT).close()
    except OSError as error:
        yield Finding("connects", "failed", f"{what}, port {port}: {explain(error)}",
                      f"correct {where}, open the firewall, or start the store")  # fmt: skip
        return False
    yield Finding("connects", "ok", f"{what}, port {port}, in {1000 * (time.monotonic() - began):.0f} ms")

    bundle = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE") or get_cert_path(True)
    try:
        connection = _connection(store, proxy, near.hostname, port, bundle)
    except OSError as error:
        yield Finding("TLS", "failed", f"no CA certificates in {bundle!r}: {explain(error)}", "correct AWS_CA_BUNDLE")
        return False
    try:
        finding = _check_tls(store, connection, proxy)
        yield finding
        if finding.state == "failed":
            return False
        return (yield from _check_answer(store, connection, proxy))
    finally:
        connection.close()


def _connection(store, proxy, hostname, port, bundle):
    """Return an HTTP connection to the store that is made like those of the S3 client."""
    if store.scheme == "http":
        return http.client.HTTPConnection(hostname, port, timeout=_TIMEOUT)
    context = ssl.create_default_context(cafile=bundle)
    connection = http.client.HTTPSConnection(hostname, port, timeout=_TIMEOUT, context=context)
    if proxy:
        connection.set_tunnel(store.hostname, store.port or 443, proxy.headers)
    return connection


def _check_tls(store, connection, proxy):
    if store.scheme == "http":
        if store.hostname in ("localhost", "127.0.0.1", "::1"):
            return Finding("TLS", "ok", "not needed on this machine")
        return Finding("TLS", "skipped", "plain http: anyone on the way can read along", "use https")
    try:
        connection.connect()
    except ssl.SSLCertVerificationError as error:
        text, advice = _CERTIFICATE.get(error.verify_code, (error.verify_message, "correct the certificate"))
        return Finding("TLS", "failed", text, advice)
    except (OSError, http.client.HTTPException) as error:
        if proxy and str(error).startswith("Tunnel connection failed"):  # http.client has no exception for it
            return _refused_by(proxy, explain(error))
        return Finding("TLS", "failed", explain(error), "see whether the store speaks https on this port")
    end = ssl.cert_time_to_seconds(connection.sock.getpeercert()["notAfter"])
    date = time.strftime("%Y-%m-%d", time.gmtime(end))
    return Finding("TLS", "ok", f"valid until {date}, {(end - time.time()) / 86400:.0f} days more")


def _refused_by(proxy, reason):
    return Finding("answers", "failed", f"{proxy}: {reason}", "correct the proxy variables, user and password too")


def _check_answer(store, connection, proxy):
    """Yield what one request without a signature tells. Return True if the store answers."""
    asked = time.time()
    try:
        if proxy and store.scheme == "http":
            connection.request("GET", f"http://{store.netloc}/", headers=proxy.headers)
        else:
            connection.request("GET", "/")
        answer = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        yield Finding("answers", "failed", f"no HTTP: {explain(error)}", "see whether this port is the store's")
        return False
    here = (asked + time.time()) / 2 - 0.5  # a date has whole seconds
    if answer.status == http.client.PROXY_AUTHENTICATION_REQUIRED:
        yield _refused_by(proxy or "a proxy on the way", f"{answer.status} {answer.reason}")
        return False
    yield Finding("answers", "ok", f"status {answer.status}, server {answer.getheader('Server') or 'without a name'}")
    try:
        there = parsedate_to_datetime(answer.getheader("Date") or "").timestamp()
    except ValueError:
        yield Finding("clock", "skipped", "the store does not tell its time")
        return True
    difference = round(here - there)
    text = f"this machine's is {abs(difference)} s {'ahead of' if difference > 0 else 'behind'} the store's"
    if abs(difference) > _SKEW_LIMIT:
        yield Finding("clock", "failed", text, "set the one that is wrong: signed requests are refused")
    else:
        yield Finding("clock", "ok", text if abs(difference) > 1 else "agrees with the store's")
    return True


# The bucket


class _Probe:
    """Tests what the keys may do in a bucket, by means of a small object."""

    def __init__(self, manager, bucket, key):
        self.uploader = manager.upload_client
        self.downloader = manager.download_client
        self.manager = manager
        self.bucket = bucket
        self.key = key
        self.name = f"cdn-check-{secrets.token_hex(8)}"
        self.subject = None
        self.there = True
        self.stored = False
        self.written = []  # what may have to be removed
        self.size = 0

    def findings(self):
        """Yield all findings. A bucket that is not there ends them."""
        yield self._find_bucket()
        if not self.there:
            return
        yield self._write()
        yield self._refuse(
            "uploader cannot read", self.uploader, "uploader", self.stored,
            lambda: self.uploader.get_object(Bucket=self.bucket, Key=self.name),
            "take the right to read from the uploader's key",
        )
        # What we stored ourselves tells more about the store; KEY is all there is without it.
        self.subject = self.name if self.stored else self.key
        answer = yield from self._read("downloader reads", self.subject)
        if self.stored and self.key is not None:
            yield from self._read("downloader reads KEY", self.key)
        yield self._refuse(
            "downloader cannot write", self.downloader, "downloader", True, self._write_spare,
            "take the right to write from the downloader's key",
        )
        if answer is not None:
            yield self._find_metadata(answer)
            yield self._find_ranges(answer)
            yield self._find_if_match()
        if self.stored:
            yield self._find_if_none_match()

    def _find_bucket(self):
        role, client = ("downloader", self.downloader) if self.downloader else ("uploader", self.uploader)
        try:
            if role == "downloader":
                client.list_objects_v2(Bucket=self.bucket, MaxKeys=1)
            else:
                client.head_bucket(Bucket=self.bucket)
        except _FAILURES as error:
            if _status(error) == 404:
                self.there = False
                return Finding("bucket", "failed", f"there is no {self.bucket!r}", "create it, or correct its name")
            if _status(error) == 403 and _code(error) not in _KEY_REFUSED:
                return Finding("bucket", "skipped", f"not shown to the {role}'s key, which may not list")
            return Finding("bucket", "failed", f"asked with the {role}'s key: {explain(error)}")
        return Finding("bucket", "ok", f"{self.bucket!r} is there")

    def _write(self):
        if self.uploader is None:
            return _without("uploader writes", "uploader")
        self.written.append(self.name)
        try:
            self.manager.store(self.bucket, self.name, _CONTENT)
        except _FAILURES as error:
            self._forget_if_refused(self.name, error)
            return Finding("uploader writes", "failed", explain(error), "correct the uploader's key or its rights")
        self.stored = True
        return Finding("uploader writes", "ok", f"stored {self.name!r}")

    def _write_spare(self):
        spare = f"{self.name}-2"
        self.written.append(spare)
        try:
            return self.downloader.put_object(Bucket=self.bucket, Key=spare, Body=b"")
        except _FAILURES as error:
            self._forget_if_refused(spare, error)
            raise

    def _forget_if_refused(self, name, error):
        """Do not remove an object that was refused. It may be there if only the answer was lost, also on a gateway."""
        if 400 <= (_status(error) or 0) < 500:
            self.written.remove(name)

    def _refuse(self, name, client, role, possible, request, advice):
        """Return the finding about a request that the store is to refuse."""
        if client is None:
            return _without(name, role)
        if not possible:
            return Finding(name, "skipped", "not tested: there is no object to try it on")
        try:
            answer = request()
        except _FAILURES as error:
            if _status(error) == 403 and _code(error) not in _KEY_REFUSED:
                return Finding(name, "ok", "the store refuses it")
            return Finding(name, "skipped", f"not seen: {explain(error)}")
        if "Body" in answer:
            answer["Body"].close()
        return Finding(name, "failed", f"the {role}'s key may do it", advice)

    def _read(self, name, key):
        """Yield the finding. Return the store's answer, None if there is none."""
        if self.downloader is None:
            yield _without(name, "downloader")
            return None
        if key is None:
            yield Finding(name, "skipped", "not tested: name the KEY of an object to read")
            return None
        try:
            answer = self.downloader.get_object(Bucket=self.bucket, Key=key)
        except _FAILURES as error:
            yield Finding(name, "failed", f"{key!r}: {explain(error)}",
                          "correct the downloader's key or its rights, or KEY")  # fmt: skip
            return None
        answer["Body"].close()
        self.size = answer["ContentLength"]
        yield Finding(name, "ok", f"{key!r} has {size_text(self.size)}")
        return answer

    def _find_metadata(self, answer):
        if any(name.lower() == "sha256" for name in answer.get("Metadata", ())):
            return Finding("metadata", "ok", "the object carries its SHA-256")
        if self.stored:
            return Finding("metadata", "failed", "the store drops it, so that downloads are not verified",
                           "give --sha256 to each download")  # fmt: skip
        return Finding("metadata", "skipped", f"{self.subject!r} has no SHA-256, and may have been stored without")

    def _find_ranges(self, answer):
        if answer["ContentLength"] < 3:
            return Finding("ranges", "skipped", f"not tested: {self.subject!r} is too small")
        try:
            answer = self.downloader.get_object(Bucket=self.bucket, Key=self.subject, Range="bytes=1-2")
        except _FAILURES as error:
            return Finding("ranges", "failed", explain(error), "have the store, or a proxy before it, corrected")
        answer["Body"].close()
        if (answer.get("ContentRange") or "").startswith("bytes 1-2/"):
            return Finding("ranges", "ok", "a part of an object can be read")
        return Finding("ranges", "failed", "the store ignores them, so that downloads begin anew when broken off",
                       "have the store, or a proxy before it, corrected")  # fmt: skip

    def _find_if_match(self):
        try:
            answer = self.downloader.get_object(Bucket=self.bucket, Key=self.subject, IfMatch=f'"{"0" * 32}"')
        except _FAILURES as error:
            if _status(error) == 412:
                return Finding("If-Match", "ok", "the store compares ETags")
            return Finding("If-Match", "failed", explain(error), "have the store, or a proxy before it, corrected")
        answer["Body"].close()
        return Finding("If-Match", "failed", "the store ignores it; downloads compare ETags by themselves",
                       "have the store, or a proxy before it, corrected")  # fmt: skip

    def _find_if_none_match(self):
        try:
            self.manager.store(self.bucket, self.name, _CONTENT, overwrite=False)
        except ObjectExistsError:
            return Finding("If-None-Match", "ok", "--no-overwrite protects what is there")
        except _FAILURES as error:
            return Finding("If-None-Match", "failed", explain(error), "do not rely on --no-overwrite here")
        return Finding("If-None-Match", "failed", "the store ignores it", "do not rely on --no-overwrite here")

    def remove(self):
        """Remove what was written. Return the findings about that: one, or none where nothing was written."""
        left = [name for name in self.written if not self._remove_one(name)]
        if left:
            return [Finding("removed", "skipped", f"left in {self.bucket!r}: {', '.join(left)}", "remove it")]
        return [Finding("removed", "ok", "nothing is left of this check")] if self.written else []

    def _remove_one(self, name):
        for client in (self.uploader, self.downloader):
            if client is None:
                continue
            try:
                client.delete_object(Bucket=self.bucket, Key=name)
            except _FAILURES:
                continue
            return True
        return False


def _without(name, role):
    return Finding(name, "skipped", f"the configuration holds no {role}_access_key")


def _status(error):
    return error.response["ResponseMetadata"].get("HTTPStatusCode") if isinstance(error, ClientError) else None


def _code(error):
    return error.response.get("Error", {}).get("Code")
