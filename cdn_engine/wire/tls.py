"""The one TLS context: what transfers trust, ``cdn-manager check`` trusts as well."""

import errno
import os
import ssl

from botocore.httpsession import get_cert_path

__all__ = ["ca_bundle", "tls_context"]

_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")


def ca_bundle() -> tuple[str, str]:
    """Return the file or directory of CA certificates, and where its name comes from."""
    for name in _VARIABLES:
        path = os.environ.get(name)
        if path:
            return path, name
    return get_cert_path(True), "botocore"


def tls_context(bundle: str | None = None, kind: type[ssl.SSLContext] = ssl.SSLContext) -> ssl.SSLContext:
    """Return a context that verifies the certificate and the host name.

    It accepts what OpenSSL accepts by default, on every Python: a private CA whose certificate lacks extensions
    (Python 3.13's ``VERIFY_X509_STRICT`` refuses it), and any certificate of the bundle as a trust anchor.

    Args:
        bundle: File or directory with CA certificates; None for the one in the environment, or botocore's own.
        kind: The class of the context.

    Raises:
        OSError: The bundle cannot be read or holds no certificate; it is named.
    """
    path, origin = (bundle, "configuration") if bundle is not None else ca_bundle()
    context = kind(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        if os.path.isdir(path):
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise OSError(errno.EINVAL, f"the CA bundle ({origin}) holds no certificate", path) from None
    except OSError as error:
        reason = f"the CA bundle ({origin}) cannot be read: {error.strerror}"
        raise OSError(error.errno, reason, path) from None
    return context
