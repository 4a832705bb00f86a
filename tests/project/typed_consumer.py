"""A caller that uses every public name, for mypy --strict and pyright (``make lint``)."""

from datetime import datetime
from pathlib import Path

from cdn_config import (
    ConfigError,
    Configuration,
    Settings,
    load_configuration,
    load_credentials,
    open_manager,
    parse_credentials,
)
from cdn_manager import (
    TRANSFER_ERRORS,
    CDNCredentials,
    CDNError,
    CDNManager,
    CredentialMissingError,
    DeadlineExceededError,
    IntegrityError,
    ObjectChangedError,
    ObjectExistsError,
    OutcomeUnknownError,
    StalledError,
    StoreProtocolError,
    TransferResult,
    UnsafePathError,
    URLRefusedError,
    fetch_url,
    limit_rate,
)
from constants import log, logerror


def credentials(path: str) -> CDNCredentials:
    try:
        return load_credentials(path)
    except ConfigError as error:
        logerror(str(error))
        return parse_credentials("host: https://cdn.example.com")


def show(creds: CDNCredentials) -> str:
    keys: list[str | None] = [creds.downloader_access_key, creds.uploader_access_key]
    return f"{creds.host} {creds.region} {keys}"


def publish(manager: CDNManager, source: Path | bytes) -> TransferResult | None:
    def progress(count: int) -> None:
        log(f"{count} bytes")

    try:
        return manager.store("models", "v1.bin", source, progress=progress, overwrite=False)
    except ObjectExistsError:
        return None
    except (OutcomeUnknownError, ObjectChangedError, StoreProtocolError, CredentialMissingError) as error:
        cause: CDNError = error
        logerror(str(cause))
        raise


def install(manager: CDNManager, sha256: str) -> tuple[int, str | None, bool]:
    try:
        result = manager.fetch("models", "v1.bin", path=Path("v1.bin"), sha256=sha256)
    except (IntegrityError, UnsafePathError, StalledError, DeadlineExceededError) as error:
        logerror(str(error))
        raise
    except TRANSFER_ERRORS as error:
        logerror(str(error))
        raise
    return result.size, result.etag, result.verified


def limit(by_night: bool) -> float | None:
    found: Configuration = load_configuration()
    settings: Settings = found.settings
    limit_rate(None if by_night else settings.limit_rate)
    with found.open_manager(), open_manager(found.path) as manager:
        log(repr(manager))
    return settings.deadline


def fresh() -> CDNCredentials:
    return CDNCredentials("https://cdn.example.com", "key", "secret", downloader_session_token="token")


def install_from_url(url: str) -> int:
    try:
        return fetch_url(url, Path("v1.bin"), deadline=60.0).size
    except URLRefusedError as error:
        logerror(str(error))
        raise


def main() -> None:
    with CDNManager(credentials("cdn.yaml"), deadline=60.0, refresh=fresh) as manager:
        done: bool = manager.upload_bytes("models", "v1.bin", b"...") and manager.download_file("models", "v1.bin")
        left: list[tuple[str, str, datetime]] = manager.orphans("models", older_than=3600)
        log(f"{done} {left} {show(manager.creds)}")
        manager.download_client.list_buckets()
        manager.close()
