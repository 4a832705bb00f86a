from collections.abc import Callable
from datetime import datetime
from os import PathLike
from typing import IO, Any, Literal, Self

from _typeshed import ReadableBuffer
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from typing_extensions import disjoint_base

from cdn_engine.errors import TRANSFER_ERRORS as TRANSFER_ERRORS
from cdn_engine.errors import CDNError as CDNError
from cdn_engine.errors import CredentialMissingError as CredentialMissingError
from cdn_engine.errors import DeadlineExceededError as DeadlineExceededError
from cdn_engine.errors import IntegrityError as IntegrityError
from cdn_engine.errors import NotAStoreError as NotAStoreError
from cdn_engine.errors import ObjectChangedError as ObjectChangedError
from cdn_engine.errors import ObjectExistsError as ObjectExistsError
from cdn_engine.errors import OutcomeUnknownError as OutcomeUnknownError
from cdn_engine.errors import StalledError as StalledError
from cdn_engine.errors import StoreProtocolError as StoreProtocolError
from cdn_engine.errors import UnsafePathError as UnsafePathError
from cdn_engine.errors import URLRefusedError as URLRefusedError
from cdn_engine.from_url import fetch_url as fetch_url
from cdn_engine.result import TransferResult as TransferResult
from cdn_engine.wire.pace import limit_rate as limit_rate

__all__ = [
    "TRANSFER_ERRORS",
    "CDNCredentials",
    "CDNError",
    "CDNManager",
    "CredentialMissingError",
    "DeadlineExceededError",
    "IntegrityError",
    "NotAStoreError",
    "ObjectChangedError",
    "ObjectExistsError",
    "OutcomeUnknownError",
    "StalledError",
    "StoreProtocolError",
    "TransferResult",
    "URLRefusedError",
    "UnsafePathError",
    "fetch_url",
    "limit_rate",
]

@disjoint_base
class CDNCredentials:
    def __init__(
        self,
        host: str,
        downloader_access_key: str | None = None,
        downloader_access_secret: str | None = None,
        uploader_access_key: str | None = None,
        uploader_access_secret: str | None = None,
        region: str = "us-east-1",
        downloader_session_token: str | None = None,
        uploader_session_token: str | None = None,
        anonymous: bool = False,
    ) -> None: ...
    @property
    def anonymous(self) -> bool: ...
    @property
    def host(self) -> str: ...
    @property
    def downloader_access_key(self) -> str | None: ...
    @property
    def uploader_access_key(self) -> str | None: ...
    @property
    def region(self) -> str: ...

@disjoint_base
class CDNManager:
    def __init__(
        self,
        credentials: CDNCredentials,
        config: Config | None = None,
        transfer_config: TransferConfig | None = None,
        deadline: float | None = None,
        refresh: Callable[[], CDNCredentials] | None = None,
    ) -> None: ...
    @property
    def creds(self) -> CDNCredentials: ...
    @property
    def download_client(self) -> Any: ...
    @property
    def upload_client(self) -> Any: ...
    def upload_bytes(self, bucket: str, filename: str, file_bytes: bytes) -> bool: ...
    def download_file(self, folder: str, filename: str) -> bool: ...
    def store(
        self,
        bucket: str,
        filename: str,
        source: ReadableBuffer | str | PathLike[str] | IO[bytes],
        progress: Callable[[int], object] | None = None,
        overwrite: bool | Literal["changed"] = True,
        keep: bool = True,
        sha256: str | None = None,
    ) -> TransferResult: ...
    def fetch(
        self,
        folder: str,
        filename: str,
        path: str | bytes | PathLike[str] | PathLike[bytes] | None = None,
        progress: Callable[[int], object] | None = None,
        sha256: str | None = None,
    ) -> TransferResult: ...
    def orphans(self, bucket: str, older_than: float = 86400) -> list[tuple[str, str, datetime]]: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
