"""The connections below the clients: proxies, TLS, reuse, and what an application's log sees of them."""

import logging
import socketserver
import ssl
import threading
import traceback

import pytest
import trustme
from altering_proxy import serving
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ProxyConnectionError, SSLError
from scripted_server import ScriptedServer, answering
from tunnel import Tunnel

from cdn_engine.budget import CONNECTIONS
from cdn_engine.errors import explain
from cdn_manager import CDNCredentials, CDNError, CDNManager

pytestmark = pytest.mark.portable

PASSWORD = "pass-word"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def tls(authority, environment):
    """What a server of ``127.0.0.1`` and ``store.invalid`` speaks TLS with; its CA is trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "store.invalid").configure_cert(context)
    with authority.cert_pem.tempfile() as bundle:
        environment.setenv("AWS_CA_BUNDLE", bundle)
        yield context


def manager_of(url, **options):
    return CDNManager(CDNCredentials(url, "r", "rs", "w", "ws"), **options)


def store_through(manager):
    with manager:
        manager.store("bucket", "key", b"abc")


def transfer_once(url, transfer):
    with manager_of(url) as manager:
        manager.fetch("bucket", "key") if transfer == "fetch" else manager.store("bucket", "key", b"abc")


def address_of(server):
    return server.url.partition("//")[2]


# Proxies


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_http_goes_through_the_proxy(variable, environment):
    with ScriptedServer() as server, Tunnel(store=address_of(server)) as proxy:
        environment.setenv(variable, f"http://{proxy.host}")
        store_through(manager_of("http://store.invalid"))
    assert proxy.asked == ["PUT http://store.invalid/bucket/key"]


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_https_goes_through_a_tunnel(variable, environment, tls):
    with ScriptedServer(tls=tls) as server, Tunnel(store=address_of(server)) as proxy:
        environment.setenv(variable, f"http://{proxy.host}")
        store_through(manager_of("https://store.invalid"))
    assert proxy.asked == ["CONNECT store.invalid:443"]
    assert server.operations == ["PutObject"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_may_speak_tls_itself(scheme, environment, tls):
    served = tls if scheme == "https" else None
    with ScriptedServer(tls=served) as server, Tunnel(tls=tls, store=address_of(server)) as proxy:
        environment.setenv("ALL_PROXY", f"https://{proxy.host}")
        store_through(manager_of(f"{scheme}://store.invalid"))
    assert len(proxy.asked) == 1
    assert server.operations == ["PutObject"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_is_told_its_password_and_the_store_is_not(scheme, environment, tls):
    served = tls if scheme == "https" else None
    with ScriptedServer(tls=served) as server, Tunnel(f"name:{PASSWORD}", store=address_of(server)) as proxy:
        environment.setenv("ALL_PROXY", f"http://name:{PASSWORD}@{proxy.host}")
        store_through(manager_of(f"{scheme}://store.invalid"))
    if scheme == "https":
        assert "proxy-authorization" not in server.requests[0].headers


def test_no_proxy_is_honoured(environment):
    with ScriptedServer() as server:
        environment.setenv("ALL_PROXY", "http://127.0.0.1:9")
        environment.setenv("NO_PROXY", "127.0.0.1")
        store_through(manager_of(server.url))


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("transfer", ["fetch", "store"])
def test_socks_proxy_is_refused_by_name_at_the_first_request(scheme, transfer, environment, folder, log_lines):
    environment.setenv("ALL_PROXY", f"socks5h://name:{PASSWORD}@127.0.0.1:9")
    with pytest.raises(CDNError, match="'socks5h' proxy") as caught:
        transfer_once(f"{scheme}://store.invalid", transfer)
    assert_password_is_hidden(caught.value)
    assert not [line for line in log_lines() if "next attempt" in line]


@pytest.mark.parametrize("transfer", ["fetch", "store"])
def test_refusal_of_a_proxy_is_final_and_does_not_show_the_password(transfer, environment, folder, tls):
    with Tunnel("name:another") as proxy:
        environment.setenv("ALL_PROXY", f"http://name:{PASSWORD}@{proxy.host}")
        with pytest.raises(ProxyConnectionError) as caught:
            transfer_once("https://store.invalid", transfer)
    assert proxy.asked == ["CONNECT store.invalid:443"]
    assert explain(caught.value).startswith(f"no connection through the proxy http://{proxy.host}: Tunnel")
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_unreachable_proxy_is_named_without_its_password(environment, one_attempt):
    environment.setenv("HTTP_PROXY", f"http://name:{PASSWORD}@127.0.0.1:9")
    with manager_of("http://store.invalid") as manager, pytest.raises(ProxyConnectionError) as caught:
        manager.store("bucket", "key", b"abc")
    assert explain(caught.value) == "no connection through the proxy http://127.0.0.1:9: Connection refused"
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


@pytest.fixture
def one_attempt(monkeypatch):
    monkeypatch.setattr("cdn_engine.wire.retry._MAX_ATTEMPTS", 1)


def assert_password_is_hidden(error):
    """Also in the variables of our frames; the first is the test's own."""
    ours = error.__traceback__.tb_next
    shown = traceback.TracebackException(type(error), error, ours, capture_locals=True)
    assert PASSWORD not in "".join(shown.format())


# TLS


@pytest.mark.parametrize("transfer", ["fetch", "store"])
def test_port_that_does_not_speak_tls_is_named_at_once(transfer, folder, log_lines):
    class Plain(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(1 << 16)
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Plain)) as host, pytest.raises(SSLError) as caught:
        transfer_once(f"https://{host}", transfer)
    expected = f"no TLS connection to https://{host}: it does not speak TLS on this port: use http://, or another port"
    assert explain(caught.value) == expected
    assert not log_lines()


@pytest.mark.parametrize("transfer", ["fetch", "store"])
def test_certificate_of_an_unknown_ca_is_named_at_once(transfer, folder, environment, log_lines):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with ScriptedServer(tls=context) as server, pytest.raises(SSLError) as caught:
        transfer_once(server.url, transfer)
    assert explain(caught.value).startswith(f"no TLS connection to {server.url}: its certificate is not valid here: ")
    assert not log_lines()


def test_name_that_the_certificate_does_not_have_is_refused(tls, folder):
    with ScriptedServer(tls=tls) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        with manager_of(url) as manager, pytest.raises(SSLError) as caught:
            manager.store("bucket", "key", b"abc")
    assert "ostname mismatch" in explain(caught.value)


@pytest.mark.parametrize("files", [1, 2], ids=["one-file", "certificate-and-key"])
@pytest.mark.parametrize("call", ["engines", "boto3"])
def test_client_certificate_of_the_caller_is_shown(call, files, authority, tls, tmp_path):
    tls.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(tls)
    ours = authority.issue_cert("client.invalid")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    ours.cert_chain_pems[0].write_to_path(chain)
    ours.private_key_pem.write_to_path(chain if files == 1 else key, append=True)
    shown = str(chain) if files == 1 else (str(chain), str(key))
    with ScriptedServer(tls=tls) as server, manager_of(server.url, config=Config(client_cert=shown)) as manager:
        boto3s = {"Bucket": "bucket", "Key": "key", "Body": b"abc"}
        manager.store("bucket", "key", b"abc") if call == "engines" else manager.upload_client.put_object(**boto3s)
    assert server.operations == ["PutObject"]


@pytest.mark.parametrize("scheme", ["HTTP", "HTTPS"])
def test_scheme_may_be_in_capitals(scheme, tls):
    with ScriptedServer(tls=tls if scheme == "HTTPS" else None) as server:
        store_through(manager_of(scheme + server.url[server.url.index(":"):]))
    assert server.operations == ["PutObject"]


# Connections


def test_many_threads_write_nothing_into_the_applications_log(caplog):
    """No "Connection pool is full", however many threads use a manager, and however many connections are kept."""
    caplog.set_level(logging.WARNING)
    together = threading.Barrier(40)

    def wait_for_the_others(exchange):
        together.wait()
        exchange.answer_as_usual()

    with ScriptedServer() as server, manager_of(server.url) as manager:
        for _ in range(2):  # with new connections, then with the idle ones that were kept
            server.fault("PutObject", *[wait_for_the_others] * 40)
            threads = [threading.Thread(target=manager.store, args=("bucket", f"key-{i}", b"abc")) for i in range(40)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len({request.connection for request in server.requests}) == 40 + 40 - CONNECTIONS
    assert not [record for record in caplog.records if record.name != "cdn_manager"]


def test_idle_connection_is_used_again():
    with ScriptedServer() as server, manager_of(server.url) as manager:
        for _ in range(3):
            manager.store("bucket", "key", b"abc")
    assert {request.connection for request in server.requests} == {1}


@pytest.mark.parametrize("status", [429, 503])
def test_connection_that_a_busy_store_has_answered_is_closed(status):
    """It may be the one that is too many."""
    with ScriptedServer() as server, manager_of(server.url) as manager:
        server.fault("PutObject", answering(status, "SlowDown"))
        manager.store("bucket", "key", b"abc")
    assert [request.connection for request in server.requests] == [1, 2]


def test_idle_connection_that_the_store_has_closed_is_replaced():
    with ScriptedServer() as server, manager_of(server.url) as manager:
        server.fault("PutObject", answering(200, headers=[("ETag", '"e"')], body=b"", close=True))
        manager.store("bucket", "key", b"abc")
        manager.store("bucket", "key", b"abc")
    assert [request.connection for request in server.requests] == [1, 2]


def test_closed_manager_opens_new_connections():
    with ScriptedServer() as server, manager_of(server.url) as manager:
        manager.store("bucket", "key", b"abc")
        manager.close()
        manager.store("bucket", "key", b"abc")
    assert [request.connection for request in server.requests] == [1, 2]


def test_any_max_pool_connections_of_the_caller_is_harmless():
    with ScriptedServer() as server, manager_of(server.url, config=Config(max_pool_connections=1)) as manager:
        manager.store("bucket", "key", b"abc")


def test_host_below_a_path_gets_its_requests_there():
    with ScriptedServer() as server, manager_of(f"{server.url}/storage/v1/s3/") as manager:
        manager.store("bucket", "key", b"abc")
    assert [request.target for request in server.requests] == ["/storage/v1/s3/bucket/key"]


@pytest.mark.parametrize("line", [b"\x1b[2J\r\n", b"\x9b2J/1.1 200\r\n", b"HTTP/\x1b[2J 200 OK\r\n", b"\r\n"])
def test_what_is_no_http_is_printable_wherever_it_is_shown(line, one_attempt):
    class NoHTTP(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(1 << 16)
            self.request.sendall(line + b"\r\n")

    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), NoHTTP)) as host:
        with pytest.raises(BotoCoreError) as caught:
            transfer_once(f"http://{host}", "store")
        shown = [explain(caught.value), *traceback.format_exception(caught.value)]
        assert all(part.isprintable() for text in shown for part in text.splitlines())
        expected = f"the connection to http://{host} broke: what it answers is not HTTP: "
        assert any(text.startswith(expected) for text in shown[1:])


def test_unknown_name_is_named(one_attempt):
    with manager_of("http://store.invalid") as manager, pytest.raises(BotoCoreError) as caught:
        manager.store("bucket", "key", b"abc")
    assert explain(caught.value).startswith("no connection to http://store.invalid: ")
