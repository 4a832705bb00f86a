# cython: language_level=3
"""A consumer compiled against the .pxd files beside it, those of 0.1.0, and run with the installed modules."""

import os

from cdn_manager cimport CDNCredentials, CDNManager
from constants cimport log, logerror


def credentials(CDNCredentials creds):
    return (
        creds.host, creds.downloader_access_key, creds.downloader_access_secret,
        creds.uploader_access_key, creds.uploader_access_secret, creds.region,
    )


def attributes(CDNManager manager):
    return manager.creds, manager.download_client, manager.upload_client, manager.transfer_config, manager.deadline


def transfer(CDNManager manager, str bucket):
    """Call each C method through its slot, and return what each of them did."""
    uploaded = manager.upload(bucket, "upload", b"by upload"), manager.upload_bytes(bucket, "upload_bytes", b"by it")
    downloaded = manager.download(bucket, "upload"), manager.download_file(bucket, "upload_bytes")
    return uploaded, downloaded, sorted(os.listdir(bucket))


def write_log():
    log("by log")
    logerror("by logerror")
