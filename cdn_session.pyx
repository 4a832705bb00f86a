# cython: language_level=3
"""One boto3 S3 client per key pair, deaf to the machine's AWS settings and safe for stores that are not AWS.

Nothing ambient is read but the proxy variables and the CA bundle (``AWS_CA_BUNDLE``, ``REQUESTS_CA_BUNDLE``). The
clients are boto3's own, with our transfer methods in the place of boto3's through its documented extension point, the
``creating-client-class.s3`` event.
"""

import functools
import os
from importlib.metadata import version
from urllib.parse import urlsplit

import boto3.session
import botocore.session
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.loaders import Loader

import cdn_download
import cdn_upload
from cdn_errors import CDNError

CONNECT_TIMEOUT = 10  # seconds
READ_TIMEOUT = 30  # seconds; also the time after which a connection that trickles counts as stalled
CONNECTIONS = 10  # botocore's own default; the engines open fewer

# What keeps a transfer correct on any store and on our host. Not the caller's to change.
_IMPOSED = {
    # boto3#4392, seaweedfs#6517, #6847: default checksums and their chunk framing break other stores.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
    "ignore_configured_endpoint_urls": True,
    "use_dualstack_endpoint": False,
    "use_fips_endpoint": False,
}
_IMPOSED_S3 = {"addressing_style": "path", "use_accelerate_endpoint": False, "use_dualstack_endpoint": False}

# One for all sessions: it keeps what it has read, and reading is most of what a client costs.
_LOADER = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)

# boto3.crt ignores a custom endpoint and talks to AWS (boto3#4839).
_CLASSIC = TransferConfig(preferred_transfer_client="classic")


def create_session():
    """Return a boto3 session that knows no profile, no file and no AWS variable, the CA bundle excepted."""
    silent = {
        name: (None, None, default, convert)
        for name, (_, _, default, convert) in botocore.session.Session.SESSION_VARIABLES.items()
    }
    silent["config_file"] = silent["credentials_file"] = (None, None, os.devnull, None)
    silent["ca_bundle"] = (None, "AWS_CA_BUNDLE", None, None)
    private = botocore.session.Session(session_vars=silent)
    private.get_component("config_store").set_config_variable("s3", {})
    private.register_component("data_loader", _LOADER)
    session = boto3.session.Session(botocore_session=private)
    session.events.register("creating-client-class.s3", _hang_in_engines)
    return session


def create_client(session, str host, str region, str access_key, str access_secret, config=None, transfer_config=None):
    """Return the S3 client of one key pair.

    Args:
        session: The session of ``create_session``; a second client out of it costs a fraction of the first.
        host: The endpoint URL. The client refuses to send a request to any other host.
        region: The region that requests are signed for.
        access_key: The access key.
        access_secret: Its secret.
        config: A ``botocore.config.Config`` that is merged over our settings.
        transfer_config: A ``boto3.s3.transfer.TransferConfig``; the connection pool is made to fit it.

    Thread-safety: creating is not safe from several threads, the client is.
    """
    settings = _merge(host, config, transfer_config)
    try:
        client = session.client(
            "s3",
            endpoint_url=host,
            region_name=region,
            aws_access_key_id=access_key,
            aws_secret_access_key=access_secret,
            config=settings,
        )
    except Exception as error:
        # boto3's frames hold the secret, and some reporters show the variables of a traceback's frames.
        raise error.with_traceback(None) from None
    events = client.meta.events
    events.register("before-parameter-build.s3", _take_attempt)
    events.register_first("needs-retry.s3", functools.partial(_end_attempt, client.exceptions))
    events.register("before-call.s3", _drop_expect)
    events.register("before-send.s3", functools.partial(_refuse_other_hosts, _origin(host)))
    events.register("before-send.s3", _drop_trace)
    events.register("before-send.s3", cdn_upload.send_in_pieces)
    return client


def _merge(host, config, transfer_config):
    """Return our settings with the caller's merged over them, ``s3`` key by key, and the imposed ones on top."""
    if config is not None and not isinstance(config, Config):
        raise TypeError(f"config must be a botocore.config.Config, not {type(config).__name__}")
    if transfer_config is not None and not isinstance(transfer_config, TransferConfig):
        raise TypeError(
            f"transfer_config must be a boto3.s3.transfer.TransferConfig, not {type(transfer_config).__name__}"
        )
    connections = CONNECTIONS if transfer_config is None else max(CONNECTIONS, transfer_config.max_concurrency)
    ours = Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        max_pool_connections=connections,
        tcp_keepalive=True,
        retries={"mode": "standard", "total_max_attempts": 5},
        user_agent=f"cdn-manager/{version('cdn-manager')}",  # botocore's own would tell AWS_EXECUTION_ENV
    )
    if config is not None:
        ours = ours.merge(config)
    # Over https the body needs no digest in the signature; botocore leaves it out only beside a checksum of its own.
    signing = {"payload_signing_enabled": urlsplit(host).scheme != "https"}
    return ours.merge(Config(s3={**signing, **(ours.s3 or {}), **_IMPOSED_S3}, **_IMPOSED))


def _hang_in_engines(class_attributes, **_):
    """Replace the transfer methods that this project does better, and keep the others off the CRT client."""
    for name in ("upload_file", "download_fileobj", "copy"):
        class_attributes[name] = functools.partialmethod(class_attributes[name], Config=_CLASSIC)
    class_attributes["download_file"] = cdn_download.download_file
    class_attributes["upload_fileobj"] = cdn_upload.upload_fileobj


def _take_attempt(params, context, **_):
    """Carry the engines' own ``Attempt`` past botocore's validation of the parameters."""
    attempt = params.pop("Attempt", None)
    if attempt is not None:
        context["cdn_attempt"] = attempt


def _end_attempt(exceptions, response, caught_exception, request_dict, operation, **_):
    """End an engine's request after one attempt: the engines retry by themselves, botocore's retries stay below that.

    Raising here is what keeps botocore's retry and region-redirect handlers, which come after this one, out of it.
    """
    attempt = request_dict["context"].get("cdn_attempt")
    if attempt is None:
        return
    if caught_exception is not None:
        raise caught_exception
    http, parsed = response
    if http.status_code >= 300:
        code = parsed.get("Error", {}).get("Code")
        raise exceptions.from_code(code)(parsed, operation.name)
    attempt.raw = http.raw


def _drop_expect(params, **_):
    """Send no ``Expect``: botocore takes a stale status for the next answer (botocore#3755)."""
    params["headers"].pop("Expect", None)


def _drop_trace(request, **_):
    """Pass on nothing of the AWS Lambda that this may run in: botocore reads it from the environment by itself."""
    request.headers.pop("X-Amzn-Trace-Id", None)


def _origin(url):
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _refuse_other_hosts(origin, request, **_):
    """Keep every request, redirected ones and ARNs in the bucket's place included, on the host the user gave."""
    if _origin(request.url) != origin:
        raise CDNError(f"refused to send a request to {urlsplit(request.url).netloc}: it is not the host given")
