"""One boto3 S3 client per key pair, deaf to the machine's AWS settings and safe for stores that are not AWS.

From the environment come only the proxy variables and the CA bundle (``AWS_CA_BUNDLE``, ``REQUESTS_CA_BUNDLE``). The
clients are boto3's own; the ``creating-client-class.s3`` event, boto3's documented extension point, puts our transfer
methods in the place of boto3's.
"""

import functools
import gzip
import json
import os
from collections.abc import Callable
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import boto3.session
import botocore.session
from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED
from botocore.config import Config
from botocore.loaders import JSONFileLoader, Loader

from cdn_engine.download import download_file
from cdn_engine.errors import CDNError
from cdn_engine.upload import upload_fileobj
from cdn_engine.wire import refusal
from cdn_engine.wire.attempt import Attempt
from cdn_engine.wire.keys import EXPIRED, NO_KEYS, Frozen, Hidden, Keys, Renewal, frozen
from cdn_engine.wire.session import Session
from cdn_engine.wire.store import Store

__all__ = ["ClientFactory", "frozen"]

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
        renew: Replaces the ``store.keys.frozen`` of all clients; None if nothing can.

    Raises:
        TypeError: A configuration is of another type.

    Thread-safety: not safe; the clients are.
    """

    def __init__(
        self,
        host: str,
        region: str,
        config: Config | None = None,
        transfer_config: TransferConfig | None = None,
        renew: Callable[[], object] | None = None,
    ) -> None:
        self._host = host
        self._region = region
        self._config = _merge(host, config, transfer_config)
        self._renewal = None if renew is None else Renewal(renew)
        self._botocore = _create_session()
        self._session = boto3.session.Session(botocore_session=self._botocore)
        self._session.events.register("creating-client-class.s3", _replace_transfer_methods)

    def create(self, pair: Frozen = NO_KEYS) -> Any:
        """Return a boto3 S3 client.

        Args:
            pair: The keys that it signs with, made by ``frozen``; without an access key, it signs nothing.

        Raises:
            botocore.exceptions.BotoCoreError, ValueError: botocore rejects the region or the configuration.
        """
        keys = None if pair.access_key is None else Keys(pair, self._renewal)
        config = self._config if keys is not None else self._config.merge(Config(signature_version=UNSIGNED))
        if keys is not None:
            self._botocore.set_credentials("", "")
            self._botocore.get_credentials().get_frozen_credentials = lambda: keys.frozen  # the one way to read them
        client: Any = self._session.client(
            "s3", endpoint_url=self._host, region_name=self._region, config=config
        )
        session = Session(self._host, client.meta.config)
        client._endpoint.http_session = session  # botocore has no public way to choose it
        client.store = Store(client, keys, session)
        events = client.meta.events
        if keys is not None and keys.renewal is not None:
            events.register_first("before-sign.s3", functools.partial(_note_keys, keys))
            events.register_first("needs-retry.s3", functools.partial(_renew_keys, keys, keys.renewal))
        refusal.register(client)
        events.register("before-send.s3", functools.partial(_refuse_other_hosts, _origin(self._host)))
        events.register("before-send.s3", _tidy_headers)
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


def _tidy_headers(request: Any, **_: Any) -> None:
    """Send nothing about the AWS Lambda this may run in; botocore reads it from the environment by itself.

    And have no traceback show the session token.
    """
    request.headers.pop("X-Amzn-Trace-Id", None)
    if token := request.headers.get("X-Amz-Security-Token"):
        request.headers["X-Amz-Security-Token"] = Hidden(token.decode() if isinstance(token, bytes) else token)


def _note_keys(keys: Keys, request: Any, **_: Any) -> None:
    """Remember what a request of boto3 is about to be signed with."""
    request.context["signed_with"] = keys.frozen


def _renew_keys(keys: Keys, renewal: Renewal, response: Any, request_dict: dict[str, Any], **_: Any) -> float | None:
    """Have a request of boto3 made once more, with fresh keys, if those that it was signed with have expired."""
    context = request_dict["context"]
    refused = context.pop("signed_with", None)
    if response is None or refused is None or context.get("is_renewed"):
        return None
    error = response[1].get("Error", {})
    if error.get("Code") == "400":  # AWS' answer to HEAD, which has no body; also about a wrong region, if it stays so
        error["Code"] = "ExpiredToken"
    if error.get("Code") not in EXPIRED:
        return None
    context["is_renewed"] = True
    reason = renewal.renew(keys, refused, Attempt())
    if reason is not None:
        raise reason
    return 0.0


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _refuse_other_hosts(origin: tuple[str, str | None, int | None], request: Any, **_: Any) -> None:
    """Keep every request on the given host, also after a redirect and with an ARN in place of the bucket."""
    if _origin(request.url) != origin:
        raise CDNError(f"refused to send a request to {urlsplit(request.url).netloc}: it is not the given host")
