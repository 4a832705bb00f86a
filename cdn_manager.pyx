# cython: language_level=3
"""Upload to and download from an S3-compatible CDN, with separate credentials for reading and writing."""

from cdn_engine import clients, paths
from cdn_engine.errors import (
    TRANSFER_ERRORS, CDNError, CredentialMissingError, DeadlineExceededError, IntegrityError, NotAStoreError,
    ObjectChangedError, ObjectExistsError, OutcomeUnknownError, StalledError, StoreProtocolError, UnsafePathError,
    URLRefusedError, explain,
)
from cdn_engine.from_url import fetch_url
from cdn_engine.host import objection_to, warn_about
from cdn_engine.log import logerror
from cdn_engine.pairs import Pair, objection_to_pairs
from cdn_engine.result import TransferResult
from cdn_engine.upload.orphans import list_orphans
from cdn_engine.wire.pace import limit_rate

__all__ = [
    "TRANSFER_ERRORS", "CDNCredentials", "CDNError", "CDNManager", "CredentialMissingError", "DeadlineExceededError",
    "IntegrityError", "NotAStoreError", "ObjectChangedError", "ObjectExistsError", "OutcomeUnknownError",
    "StalledError", "StoreProtocolError", "TransferResult", "URLRefusedError", "UnsafePathError", "fetch_url",
    "limit_rate",
]


# inspect and help() read a class's signature from the first line of its docstring.
cdef class CDNCredentials:
    """CDNCredentials(host, downloader_access_key=None, downloader_access_secret=None, uploader_access_key=None, \
uploader_access_secret=None, region='us-east-1', downloader_session_token=None, uploader_session_token=None, \
anonymous=False)\n--\n
    Where the CDN is, and the key pairs for reading and writing.

    Secrets and session tokens are C attributes: other Cython modules reach them through ``cimport``, Python does not.

    Args:
        host: S3 endpoint URL, ``http://`` or ``https://``.
        downloader_access_key: Read-only access key. None or empty on a machine that only uploads.
        downloader_access_secret: Read-only secret key; required with its access key.
        uploader_access_key: Write access key. None or empty on a machine that only downloads.
        uploader_access_secret: Write secret key; required with its access key.
        region: Region that requests are signed for.
        downloader_session_token: Session token that belongs to a short-lived read key.
        uploader_session_token: Session token that belongs to a short-lived write key.
        anonymous: Download without a key, from a public bucket.

    Raises:
        TypeError: An argument is not a ``str``.
        ValueError: The host is not an http(s) URL, half of a pair is missing, a session token has no pair, both pairs
            are missing and ``anonymous`` is False, or it is True and there is a read key.

    Thread-safety: immutable.
    """

    def __init__(
        self, str host, str downloader_access_key=None, str downloader_access_secret=None,
        str uploader_access_key=None, str uploader_access_secret=None, str region="us-east-1",
        str downloader_session_token=None, str uploader_session_token=None, bint anonymous=False,
    ):
        objection = objection_to(host) or objection_to_pairs(
            Pair(bool(downloader_access_key), bool(downloader_access_secret), bool(downloader_session_token)),
            Pair(bool(uploader_access_key), bool(uploader_access_secret), bool(uploader_session_token)),
            anonymous,
        )
        if objection is not None or not region:
            raise ValueError(objection or "region is empty; for a store without regions, use 'us-east-1'")
        self.host = host
        self.downloader_access_key = downloader_access_key or None
        self.downloader_access_secret = downloader_access_secret or None
        self.uploader_access_key = uploader_access_key or None
        self.uploader_access_secret = uploader_access_secret or None
        self.region = region
        self.downloader_session_token = downloader_session_token or None
        self.uploader_session_token = uploader_session_token or None
        self.anonymous = anonymous

    def __repr__(self):
        pairs = {"downloader": self.downloader_access_key or self.anonymous, "uploader": self.uploader_access_key}
        roles = " and ".join(role for role, key in pairs.items() if key)
        return f"<CDNCredentials of {'anonymous ' if self.anonymous else ''}{roles} for {self.host}>"

    def __reduce__(self):
        raise TypeError("CDNCredentials holds secrets: it cannot be pickled or copied")


cdef class CDNManager:
    """CDNManager(credentials, config=None, transfer_config=None, deadline=None, refresh=None)\n--\n
    Moves objects between this machine and the CDN.

    Args:
        credentials: Where the CDN is, and the key pairs.
        config: A ``botocore.config.Config``, merged over this package's settings; checksums, addressing and the host
            cannot be changed.
        transfer_config: A ``boto3.s3.transfer.TransferConfig``. If given, all its values apply.
        deadline: Total seconds for one transfer; None for no limit as long as bytes keep arriving.
        refresh: Called without arguments when the store says that the keys have expired, in the middle of a transfer
            too; returns fresh ``CDNCredentials`` for the same host, region and pairs. It runs in a thread of its own,
            once for all that need fresh keys, and must not use this manager. What it raises ends the transfer.

    Attributes:
        creds: The credentials, from the last ``refresh`` if there was one.
        download_client: boto3 S3 client with the read key, or that signs nothing; None without either.
        upload_client: boto3 S3 client with the write key; None without one.

    Thread-safety: every method may be called from several threads, and in the children of a fork.
    """

    def __init__(
        self, CDNCredentials credentials not None, config=None, transfer_config=None, deadline=None, refresh=None
    ):
        if deadline is not None and not deadline > 0:
            raise ValueError(f"deadline must be a positive number of seconds, not {deadline!r}")
        self.creds = credentials
        self.transfer_config = transfer_config
        self.deadline = deadline
        self.refresh = refresh
        warn_about(credentials.host)
        factory = clients.ClientFactory(
            credentials.host, credentials.region, config, transfer_config, None if refresh is None else self._renew
        )
        reading, writing = _pairs_of(credentials)
        if credentials.anonymous or credentials.downloader_access_key is not None:
            self.download_client = factory.create(reading)
        if credentials.uploader_access_key is not None:
            self.upload_client = factory.create(writing)

    def _renew(self):
        """Ask for fresh credentials, and have both clients sign with them from now on."""
        fresh = self.refresh()
        if not isinstance(fresh, CDNCredentials):
            raise TypeError(f"refresh must return CDNCredentials, not a {type(fresh).__name__}")
        if _outline_of(fresh) != _outline_of(self.creds):
            raise ValueError("refresh must return credentials for the same host and region, with the same pairs")
        self.creds = fresh
        for client, keys in zip((self.download_client, self.upload_client), _pairs_of(fresh)):
            if client is not None and client.store.keys is not None:
                client.store.keys.frozen = keys

    cdef bint upload(self, str bucket, str filename, bytes file_bytes) except -1:
        """Upload bytes to bucket/filename. Return True on success; log the reason and return False otherwise."""
        try:
            self.store(bucket, filename, file_bytes)
        except Exception as error:
            logerror(f"upload of {bucket}/{filename} with the uploader key failed: {explain(error)}")
            return False
        return True

    cdef bint download(self, str folder, str filename) except -1:
        """Download folder/filename to the same local path. Return True on success; log why and return False if not."""
        try:
            self.fetch(folder, filename)
        except Exception as error:
            credential = "without a key" if self.creds.anonymous else "with the downloader key"
            logerror(f"download of {folder}/{filename} {credential} failed: {explain(error)}")
            return False
        return True

    cpdef bint upload_bytes(self, str bucket, str filename, bytes file_bytes) except -1:
        """Upload bytes to bucket/filename: Cython's ``upload``, for Python callers.

        Returns:
            True if the object is stored. False if not; the reason is in the error log, and ``store`` raises it.
        """
        return self.upload(bucket, filename, file_bytes)

    cpdef bint download_file(self, str folder, str filename) except -1:
        """Download from the bucket ``folder`` to ``folder/filename``: Cython's ``download``, for Python callers.

        Returns:
            True if the whole file is in place. False if not; the reason is in the error log, and ``fetch`` raises it.
        """
        return self.download(folder, filename)

    def store(
        self, str bucket not None, str filename not None, source not None, progress=None, overwrite=True,
        bint keep=True, str sha256=None,
    ):
        """Upload, and return a ``TransferResult``; raise on failure.

        Args:
            bucket: The bucket.
            filename: The object's key.
            source: The payload: bytes-like, a path, or a binary file object, which is read from its current position
                to its end and stays open.
            progress: Called in the calling thread with the number of bytes sent since the last call, first with those
                that an earlier call has sent; negative if a part has to be sent again. Raising in it ends the upload.
                Its method ``phase(name, read, size)``, if it has one, is told what goes on (docs/upload.md).
            overwrite: False refuses to replace an existing object (``If-None-Match: *``). ``"changed"`` sends nothing
                if the object has the same content: with a read key the store is asked; without one, a record tells
                what this user last stored there from this machine.
            keep: If it goes in parts, as more than 8 MiB do, go on with what an earlier call has sent of the same
                content, and keep at the store what this one sends if it does not end. False aborts it instead.
            sha256: The SHA-256, in hex, that the content must have; with another one, nothing is sent.

        Returns:
            What was done; ``skipped`` is True if nothing had to be sent.

        Raises:
            CredentialMissingError: The credentials have no write key.
            UnsafePathError: No download could fetch an object with this key.
            ObjectExistsError: ``overwrite`` is False and the object exists.
            ObjectChangedError: The source changed during the upload, or is not the one that ``sha256`` is of.
            OutcomeUnknownError: The store's answer was lost, and a retry cannot tell whether the object was stored.
            StoreProtocolError: The store's answer does not prove that the object is stored.
            NotAStoreError: What answers at ``host`` is not the store.
            DeadlineExceededError: It took longer than ``deadline``.
            TypeError: The source is neither bytes-like, nor a path, nor a binary file object.
            botocore.exceptions.ClientError: The store refused; other exceptions of botocore for network failures.
            OSError: The source cannot be read.
            ValueError: ``overwrite`` is something else, or ``sha256`` is not the hex form of a SHA-256.

        ``TRANSFER_ERRORS`` catches them all, except for ``TypeError`` and ``ValueError``.
        """
        client = _needed(self.upload_client, "uploader", "upload")
        paths.check_key(bucket, filename)
        extra = {"Deadline": self.deadline, "Keep": keep, "Overwrite": overwrite, "Reader": self.download_client}
        extra["Sha256"] = sha256
        return client.upload_fileobj(source, bucket, filename, extra, progress, self.transfer_config)

    def fetch(self, str folder not None, str filename not None, path=None, progress=None, str sha256=None):
        """Download, and return a ``TransferResult``; raise on failure.

        Args:
            folder: The bucket, and the local folder below the working directory.
            filename: The object's key, and the file's name below the folder.
            path: The file name to download to instead; the caller is responsible for it.
            progress: Called in the calling thread with the number of bytes received since the last call, first with
                those that an earlier call left; negative if bytes are discarded. Raising in it cancels the download
                and keeps what has arrived for the next call. Its method ``phase``, if it has one: as with ``store``.
            sha256: The SHA-256, in hex, that the content must have. By default the one in the object's metadata.

        Raises:
            CredentialMissingError: The credentials have no read key.
            UnsafePathError: The key or the folder leads outside the folder.
            IntegrityError: The content does not match the digest; nothing was installed.
            ObjectChangedError: The object was replaced again and again during the download.
            StalledError, DeadlineExceededError: Too slow; what has arrived is kept for the next call.
            StoreProtocolError: The store's answers contradict themselves.
            NotAStoreError: What answers at ``host`` is not the store.
            botocore.exceptions.ClientError: The store refused; other exceptions of botocore and urllib3 for network
                failures.
            OSError: The disk refused.
            ValueError: ``sha256`` is not the hex form of a SHA-256.

        ``TRANSFER_ERRORS`` catches them all, except for ``ValueError``.
        """
        return _needed(self.download_client, "downloader", "download").download_file(
            folder, filename, paths.local_path(folder, filename) if path is None else path,
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
            CredentialMissingError: The credentials have no write key.
            PermissionError: The write key may not list; this is the one call here that needs more than writing.
            botocore.exceptions.ClientError: The store refused for another reason.
        """
        return list_orphans(_needed(self.upload_client, "uploader", "upload"), bucket, older_than)

    def close(self):
        """Close the connections of both clients. Another call opens new ones."""
        for client in (self.download_client, self.upload_client):
            if client is not None:
                client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __repr__(self):
        return f"<CDNManager with {self.creds!r}>"

    def __reduce__(self):
        raise TypeError("CDNManager holds secrets and connections: it cannot be pickled or copied")


cdef _outline_of(CDNCredentials one):
    return one.host, one.region, one.anonymous, one.downloader_access_key is None, one.uploader_access_key is None


cdef _pairs_of(CDNCredentials one):
    reading = (one.downloader_access_key, one.downloader_access_secret, one.downloader_session_token, None)
    writing = (one.uploader_access_key, one.uploader_access_secret, one.uploader_session_token, None)
    return clients.frozen(reading), clients.frozen(writing)


cdef _needed(client, str role, str verb):
    if client is None:
        raise CredentialMissingError(f"these credentials have no {role}_access_key: this machine cannot {verb}")
    return client
