"""One boto3 S3 client per key pair, deaf to the machine's AWS settings and safe for stores that are not AWS.

From the environment come only the proxy variables and the CA bundle (``AWS_CA_BUNDLE``, ``REQUESTS_CA_BUNDLE``). The
clients are boto3's own; the ``creating-client-class.s3`` event, boto3's documented extension point, puts our transfer
methods in the place of boto3's.
"""

import functools
import gzip
import json
import os
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import boto3.session
import botocore.session
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.loaders import JSONFileLoader, Loader

from cdn_engine.download import download_file
from cdn_engine.errors import CDNError
from cdn_engine.upload import upload_fileobj
from cdn_engine.wire import refusal
from cdn_engine.wire.session import Session
from cdn_engine.wire.store import Store

__all__ = ["ClientFactory"]

_CONNECT_TIMEOUT = 10  # seconds
_READ_TIMEOUT = 30  # seconds; a connection that delivers next to nothing for this long counts as stalled

# What keeps a transfer correct on any store and on the given host. The caller cannot change it.
_IMPOSED = {
    # boto3#4392, seaweedfs#6517, #6847: default checksums and their chunk framing break other stores.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
    "ignore_configured_endpoint_urls": True,
    "use_dualstack_endpoint": False,
    "use_fips_endpoint": False,
}
_IMPOSED_S3 = {"addressing_style": "path", "use_accelerate_endpoint": False, "use_dualstack_endpoint": False}


class _ModelFiles(JSONFileLoader):  # type: ignore[misc]  # which has no types
    """botocore's, but for plain dictionaries: they keep their order too, and take half the time to make and to free."""

    def load_file(self, file_path: str) -> Any:
        for suffix, opened in ((".json", open), (".json.gz", gzip.open)):
            if os.path.isfile(file_path + suffix):
                with opened(file_path + suffix, "rb") as file:
                    return json.loads(file.read())
        return None


class _Loader(Loader):  # type: ignore[misc]
    """botocore's, but for a search of its 400 services for S3, which takes as long as to read half of S3's model."""

    def list_available_services(self, type_name: str) -> list[str]:
        return ["s3"]


# Shared by all sessions: it caches the service models, and reading those is most of the cost of a client.
_LOADER = _Loader(
    extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False, file_loader=_ModelFiles()
)

# boto3.crt ignores a custom endpoint and talks to AWS (boto3#4839).
_CLASSIC = TransferConfig(preferred_transfer_client="classic")


class ClientFactory:
    """Creates the S3 clients of one host.

    Args:
        host: The endpoint URL. The clients refuse to send a request to any other host.
        region: The region that requests are signed for.
        config: A ``botocore.config.Config``, merged over our settings.
        transfer_config: The ``boto3.s3.transfer.TransferConfig`` of the transfers; only its type is looked at.

    Attributes:
        set_credentials: Takes the access key and the secret of the next client. It is botocore's own method, so that
            no frame of ours holds a secret when creating the client fails.

    Raises:
        TypeError: A configuration is of another type.

    Thread-safety: not safe; the clients are.
    """

    def __init__(
        self, host: str, region: str, config: Config | None = None, transfer_config: TransferConfig | None = None
    ) -> None:
        self._host = host
        self._region = region
        self._config = _merge(host, config, transfer_config)
        session = _create_session()
        self.set_credentials = session.set_credentials
        self._session = boto3.session.Session(botocore_session=session)
        self._session.events.register("creating-client-class.s3", _replace_transfer_methods)

    def create(self) -> Any:
        """Return the boto3 S3 client of the credentials that were set last.

        Raises:
            botocore.exceptions.BotoCoreError, ValueError: botocore rejects the region or the configuration.
        """
        client: Any = self._session.client(
            "s3", endpoint_url=self._host, region_name=self._region, config=self._config
        )
        session = Session(self._host, client.meta.config)
        client._endpoint.http_session = session  # botocore has no public way to choose it
        client.store = Store(client, self._session.get_credentials(), session)
        refusal.register(client)
        events = client.meta.events
        events.register("before-send.s3", functools.partial(_refuse_other_hosts, _origin(self._host)))
        events.register("before-send.s3", _drop_trace)
        return client


def _create_session() -> Any:
    """Return a botocore session that reads no profile, no file and no AWS variable."""
    silent: dict[str, tuple[Any, ...]] = {
        name: (None, None, default, convert)
        for name, (_, _, default, convert) in botocore.session.Session.SESSION_VARIABLES.items()
    }
    silent["config_file"] = silent["credentials_file"] = (None, None, os.devnull, None)
    session = botocore.session.Session(session_vars=silent)
    session.get_component("config_store").set_config_variable("s3", {})
    session.register_component("data_loader", _LOADER)
    return session


def _merge(host: str, config: Config | None, transfer_config: TransferConfig | None) -> Config:
    """Return our settings with the caller's merged over them (``s3`` key by key), and the imposed ones on top."""
    if config is not None and not isinstance(config, Config):
        raise TypeError(f"config must be a botocore.config.Config, not {type(config).__name__}")
    if transfer_config is not None and not isinstance(transfer_config, TransferConfig):
        raise TypeError(
            f"transfer_config must be a boto3.s3.transfer.TransferConfig, not {type(transfer_config).__name__}"
        )
    ours: Any = Config(
        signature_version="s3v4",
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=_READ_TIMEOUT,
        tcp_keepalive=True,
        retries={"mode": "standard", "total_max_attempts": 5},
        user_agent=f"cdn-manager/{version('cdn-manager')}",  # botocore's own would include AWS_EXECUTION_ENV
    )
    if config is not None:
        ours = ours.merge(config)
    # Over https the signature need not cover the body; botocore leaves it out only beside a checksum of its own.
    signing = {"payload_signing_enabled": urlsplit(host).scheme != "https"}
    return ours.merge(Config(s3={**signing, **(ours.s3 or {}), **_IMPOSED_S3}, **_IMPOSED))


def _replace_transfer_methods(class_attributes: dict[str, Any], **_: Any) -> None:
    """Replace the transfer methods that this package does better, and keep the others off the CRT client."""
    for name in ("upload_file", "download_fileobj", "copy"):
        class_attributes[name] = functools.partialmethod(class_attributes[name], Config=_CLASSIC)
    class_attributes["download_file"] = download_file
    class_attributes["upload_fileobj"] = upload_fileobj


def _drop_trace(request: Any, **_: Any) -> None:
    """Send nothing about the AWS Lambda this may run in; botocore reads it from the environment by itself."""
    request.headers.pop("X-Amzn-Trace-Id", None)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _refuse_other_hosts(origin: tuple[str, str | None, int | None], request: Any, **_: Any) -> None:
    """Keep every request on the given host, also after a redirect and with an ARN in place of the bucket."""
    if _origin(request.url) != origin:
        raise CDNError(f"refused to send a request to {urlsplit(request.url).netloc}: it is not the given host")
