# cython: language_level=3
"""An application's access to its CDN: big files, and resources that are useless without a small part kept locally."""

import hashlib
import os

import yaml

from cdn_manager cimport CDNCredentials, CDNManager
from constants cimport log, logerror

cdef Py_ssize_t HEAD_BYTES = 3 * 1024
cdef Py_ssize_t DIGEST_BYTES = 32


cdef class ApiClient:
    """Publishes files to the CDN and downloads them, through the C methods of ``CDNManager``.

    Args:
        config: Path of a YAML file with the arguments of ``CDNCredentials``.

    Thread-safety: the same as ``CDNManager``.
    """

    cdef CDNManager manager

    def __init__(self, config="cdn.yaml"):
        with open(config, encoding="utf-8") as file:
            self.manager = CDNManager(CDNCredentials(**yaml.safe_load(file)))

    cpdef bint upload_to_cdn(self, str bucket, str filename, bytes data) except -1:
        """Upload bytes to bucket/filename. Return True on success; if False, the error log says why."""
        if not self.manager.upload(bucket, filename, data):
            logerror(f"api_client: {bucket}/{filename} is not published")
            return False
        log(f"api_client: {bucket}/{filename} is published, {len(data)} bytes")
        return True

    cpdef bint download_from_cdn(self, str folder, str filename) except -1:
        """Download to folder/filename. Return True if the file is complete; if False, the error log says why."""
        if not self.manager.download(folder, filename):
            logerror(f"api_client: {folder}/{filename} is not downloaded")
            return False
        log(f"api_client: {folder}/{filename} is downloaded")
        return True

    cpdef bytes load_big_file_cdn(self, str folder, str filename):
        """Download folder/filename and return its content. The file is kept: if it is current, nothing is transferred.

        Raises:
            FileNotFoundError: The download failed; the error log says why.
        """
        if not self.download_from_cdn(folder, filename):
            raise FileNotFoundError(f"{folder}/{filename} could not be downloaded from the CDN")
        with open(os.path.join(folder, filename), "rb") as file:
            return file.read()

    cpdef bint upload_big_small_resource(self, str name, bytes data, str folder) except -1:
        """Publish a resource without its head, and store the head in a local folder.

        The head is small and stays private; without it, the rest is useless to anyone who gets it from the CDN.
        Return True on success. If False, the rest was not published, and the local head is unchanged.
        """
        if not self.upload_to_cdn(folder, f"{name}.big", data[HEAD_BYTES:]):
            return False
        path = os.path.join(folder, f"{name}.small")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(f"{path}.new", "wb") as file:
            file.write(hashlib.sha256(data).digest() + data[:HEAD_BYTES])
        os.replace(f"{path}.new", path)
        return True

    cpdef bytes load_big_small_resource(self, str name, str folder):
        """Return a resource, joined from its local head and the rest on the CDN.

        Raises:
            FileNotFoundError: The local head is missing, or the rest could not be downloaded.
            ValueError: The head and the rest belong to different resources.
        """
        with open(os.path.join(folder, f"{name}.small"), "rb") as file:
            digest = file.read(DIGEST_BYTES)
            head = file.read()
        data = head + self.load_big_file_cdn(folder, f"{name}.big")
        if hashlib.sha256(data).digest() != digest:
            raise ValueError(f"{folder}/{name}: the local head and the rest on the CDN do not belong together")
        return data
