# cython: language_level=3
# The C interface. It is an ABI: members and methods are appended, never inserted, reordered or removed.


cdef class CDNCredentials:
    cdef readonly str host                      # S3 endpoint URL
    cdef readonly str downloader_access_key     # read-only access key
    cdef str downloader_access_secret           # read-only secret key: C only
    cdef readonly str uploader_access_key       # write access key
    cdef str uploader_access_secret             # write secret key: C only
    cdef readonly str region                    # region that requests are signed for
    cdef str downloader_session_token           # session token of short-lived keys, or None: C only
    cdef str uploader_session_token             # the same of the write key: C only
    cdef readonly bint anonymous                # downloads are not signed


cdef class CDNManager:
    cdef readonly CDNCredentials creds          # stored credentials
    cdef readonly object download_client        # boto3 S3 client with the read key, or None
    cdef readonly object upload_client          # boto3 S3 client with the write key, or None
    cdef object transfer_config                 # boto3.s3.transfer.TransferConfig, or None
    cdef object deadline                        # seconds for one transfer in all, or None
    cdef object refresh                         # returns fresh CDNCredentials when the keys have expired, or None

    cdef bint upload(self, str bucket, str filename, bytes file_bytes) except -1
    cdef bint download(self, str folder, str filename) except -1
    cpdef bint upload_bytes(self, str bucket, str filename, bytes file_bytes) except -1
    cpdef bint download_file(self, str folder, str filename) except -1
