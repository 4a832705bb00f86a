# cython: language_level=3
"""Upload to and download from an S3-compatible CDN with separate credentials for reading and writing."""

import functools
import ipaddress
import os
from urllib.parse import urlsplit

import cdn_paths
import cdn_session
import cdn_upload
from cdn_errors import CredentialMissingError, explain

from constants cimport log, logerror


cdef class CDNCredentials:
    """Where the CDN is, and the key pairs to read and to write it.

    The two secrets are C attributes: other Cython modules reach them through ``cimport``, Python does not.

    Args:
        host: S3 endpoint URL, ``http://`` or ``https://``.
        downloader_access_key: Read-only access key. None or empty on a machine that only uploads.
        downloader_access_secret: Read-only secret key, there if its access key is.
        uploader_access_key: Write access key. None or empty on a machine that only downloads.
        uploader_access_secret: Write secret key, there if its access key is.
        region: Region that requests are signed for.

    Raises:
        TypeError: An argument is not a ``str``.
        ValueError: The host is no http(s) URL, half of a pair is missing, or both pairs are.

    Thread-safety: immutable.
    """

    def __init__(
        self,
        str host,
        str downloader_access_key=None,
        str downloader_access_secret=None,
        str uploader_access_key=None,
        str uploader_access_secret=None,
        str region="us-east-1",
    ):
        _check_host(host)
        _check_pair("downloader", downloader_access_key, downloader_access_secret)
        _check_pair("uploader", uploader_access_key, uploader_access_secret)
        if not downloader_access_key and not uploader_access_key:
            raise ValueError("no key pair: give downloader_access_key or uploader_access_key with its secret")
        if not region:
            raise ValueError("region is empty; stores without regions take 'us-east-1'")
        self.host = host
        self.downloader_access_key = downloader_access_key or None
        self.downloader_access_secret = downloader_access_secret or None
        self.uploader_access_key = uploader_access_key or None
        self.uploader_access_secret = uploader_access_secret or None
        self.region = region

    def __repr__(self):
        roles = [
            role
            for role, key in (("downloader", self.downloader_access_key), ("uploader", self.uploader_access_key))
            if key is not None
        ]
        return f"<CDNCredentials of {' and '.join(roles)} for {self.host}>"

    def __reduce__(self):
        raise TypeError("CDNCredentials holds secrets: it cannot be pickled or copied")


cdef class CDNManager:
    """Moves objects between this machine and the CDN.

    Args:
        credentials: Where the CDN is, and the key pairs.
        config: A ``botocore.config.Config`` merged over this package's settings; checksums, addressing and the host
            stay ours.
        transfer_config: A ``boto3.s3.transfer.TransferConfig``. Once given, all its values bind.
        deadline: Seconds that one transfer may take in all. None: as long as bytes keep coming.

    Attributes:
        creds: The credentials.
        download_client: boto3 S3 client with the read key; None without one.
        upload_client: boto3 S3 client with the write key; None without one.

    Thread-safety: every method may be called from several threads. After a fork, make a new manager.
    """

    def __init__(self, CDNCredentials credentials not None, config=None, transfer_config=None, deadline=None):
        if deadline is not None and not deadline > 0:
            raise ValueError(f"deadline must be a positive number of seconds, not {deadline!r}")
        self.creds = credentials
        self.transfer_config = transfer_config
        self.deadline = deadline
        _warn_of_plain_http(credentials.host)
        session = cdn_session.create_session()
        if credentials.downloader_access_key is not None:
            self.download_client = cdn_session.create_client(
                session, credentials.host, credentials.region,
                credentials.downloader_access_key, credentials.downloader_access_secret, config, transfer_config,
            )
        if credentials.uploader_access_key is not None:
            self.upload_client = cdn_session.create_client(
                session, credentials.host, credentials.region,
                credentials.uploader_access_key, credentials.uploader_access_secret, config, transfer_config,
            )

    cdef bint upload(self, str bucket, str filename, bytes file_bytes) except -1:
        """Upload bytes to bucket/filename. Return True on success; log the reason and return False otherwise."""
        try:
            self.store(bucket, filename, file_bytes)
        except Exception as error:
            logerror(f"upload to {bucket!r}/{filename!r} with the uploader's key failed: {explain(error)}")
            return False
        return True

    cdef bint download(self, str folder, str filename) except -1:
        """Download folder/filename to the same local path. Return True on success; log why and return False if not."""
        try:
            self.fetch(folder, filename)
        except Exception as error:
            logerror(f"download of {folder!r}/{filename!r} with the downloader's key failed: {explain(error)}")
            return False
        return True

    cpdef bint upload_bytes(self, str bucket, str filename, bytes file_bytes) except -1:
        """Upload bytes: the ``upload`` of Cython for Python callers.

        Args:
            bucket: The bucket.
            filename: The object's key.
            file_bytes: The payload.

        Returns:
            True if the store has the object. False if not; the reason is in the error log, and ``store`` raises it.
        """
        return self.upload(bucket, filename, file_bytes)

    cpdef bint download_file(self, str folder, str filename) except -1:
        """Download to ``folder/filename`` below the working directory: the ``download`` of Cython for Python callers.

        Args:
            folder: The bucket, and the local folder of the same name. It is created if needed.
            filename: The object's key, and the file's name below the folder.

        Returns:
            True if the whole object is at its place. False if not; the reason is in the error log, and ``fetch``
            raises it.
        """
        return self.download(folder, filename)

    def store(self, str bucket not None, str filename not None, source not None, progress=None, bint overwrite=True):
        """Upload, and say what happened or raise why it did not.

        Args:
            bucket: The bucket.
            filename: The object's key.
            source: The payload: bytes-like, a path, or a binary file object, which is read from where it stands to
                its end and stays open.
            progress: Called with the number of bytes that were sent since the last call; negative where a part has
                to be sent again.
            overwrite: False refuses to replace an object that is there (``If-None-Match: *``).

        Returns:
            A ``cdn_result.TransferResult``.

        Raises:
            CredentialMissingError: The credentials hold no write key.
            ObjectExistsError: ``overwrite`` is False and the object is there.
            ObjectChangedError: The source changed while it was read.
            OutcomeUnknownError: The store's answer was lost, and asking again cannot tell.
            StoreProtocolError: The store's answer proves nothing.
            DeadlineExceededError: It took longer than ``deadline``; no unfinished upload is left at the store.
            TypeError: The source is neither bytes-like, nor a path, nor a binary file object.
            botocore.exceptions.ClientError: The store refused; other exceptions of botocore for network failures.
            OSError: The source cannot be read.
        """
        self._uploader()
        extra = {"Deadline": self.deadline}
        if not overwrite:
            extra["IfNoneMatch"] = "*"
        return self.upload_client.upload_fileobj(
            source, bucket, filename, ExtraArgs=extra, Callback=progress, Config=self.transfer_config
        )

    def fetch(self, str folder not None, str filename not None, path=None, progress=None, str sha256=None):
        """Download, and say what happened or raise why it did not.

        Args:
            folder: The bucket, and the local folder below the working directory.
            filename: The object's key, and the file's name below the folder.
            path: The whole file name to download to instead; the caller answers for it.
            progress: Called with the number of bytes that came since the last call, beginning with those that an
                earlier call left; negative where bytes are discarded.
            sha256: The SHA-256, in hex, that the content must have. By default the one that the object carries.

        Returns:
            A ``cdn_result.TransferResult``.

        Raises:
            CredentialMissingError: The credentials hold no read key.
            UnsafePathError: The key or the folder leads elsewhere.
            IntegrityError: The content is not what the digest promises; nothing was installed.
            ObjectChangedError: The object was replaced again and again during the download.
            StalledError, DeadlineExceededError: Too slow; what came is kept for the next call.
            botocore.exceptions.ClientError: The store refused; other exceptions of botocore for network failures.
            OSError: The disk refused.
        """
        if self.download_client is None:
            raise CredentialMissingError(
                "these credentials hold no downloader_access_key: this machine cannot download"
            )
        path = cdn_paths.local_path(folder, filename) if path is None else os.path.abspath(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return self.download_client.download_file(
            folder, filename, path,
            ExtraArgs={"Sha256": sha256, "Deadline": self.deadline}, Callback=progress, Config=self.transfer_config,
        )

    def orphans(self, str bucket not None, older_than=86400):
        """List the multipart uploads that were begun and never finished, for a cron job to abort.

        Args:
            bucket: The bucket.
            older_than: Age in seconds; a younger one may still be running.

        Returns:
            A list of (key, upload id, time of initiation): what ``upload_client.abort_multipart_upload`` needs.

        Raises:
            CredentialMissingError: The credentials hold no write key.
            PermissionError: The write key may not list, which is the one thing here that writing does not include.
            botocore.exceptions.ClientError: The store refused for another reason.
        """
        return cdn_upload.orphans(self._uploader(), bucket, older_than)

    def close(self):
        """Close the connections of both clients. Another call opens new ones."""
        for client in (self.download_client, self.upload_client):
            if client is not None:
                client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _uploader(self):
        if self.upload_client is None:
            raise CredentialMissingError("these credentials hold no uploader_access_key: this machine cannot upload")
        return self.upload_client

    def __repr__(self):
        return f"<CDNManager with {self.creds!r}>"

    def __reduce__(self):
        raise TypeError("CDNManager holds secrets and connections: it cannot be pickled or copied")


cdef _check_host(str host):
    try:
        parts = urlsplit(host or "")
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        valid = valid and host.isprintable() and " " not in host
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("host must be a URL such as 'https://cdn.example.com' or 'http://127.0.0.1:8333'")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("host must hold no user name, query or fragment: keys have arguments of their own")


cdef _check_pair(str role, str access_key, str access_secret):
    if access_key and not access_secret:
        raise ValueError(f"{role}_access_secret is missing: {role}_access_key was given without it")
    if access_secret and not access_key:
        raise ValueError(f"{role}_access_key is missing: {role}_access_secret was given without it")


@functools.cache
def _warn_of_plain_http(host):
    parts = urlsplit(host)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return
    try:
        if ipaddress.ip_address(parts.hostname).is_loopback:
            return
    except ValueError:
        pass
    log(f"plain http to {parts.netloc}: anyone on the way can read what is transferred; use https")
