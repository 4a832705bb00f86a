"""Compares the client's cost of uploads by this package, minio-py and boto3: CPU per GiB, wall time, small objects.

Each figure is the median of several runs, each in its own process. http goes to a SeaweedFS on this machine, https to a
server of our own that discards the data, so that only the client's CPU time is counted.
"""

import argparse
import hashlib
import io
import json
import os
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "tests" / "support")]

GIB = 1 << 30
SMALL = 64 << 10


def connect_ours(url, pair):
    from cdn_manager import CDNCredentials, CDNManager

    manager = CDNManager(CDNCredentials(url, "", "", *pair))
    return lambda key, payload: manager.store("bench", key, payload)


def connect_minio(url, pair):
    import minio

    scheme, _, host = url.partition("://")
    client = minio.Minio(host, *pair, secure=scheme == "https", region="us-east-1")
    return lambda key, payload: client.put_object("bench", key, io.BytesIO(payload), len(payload))


def connect_boto3(url, pair):
    import boto3

    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=pair[0], aws_secret_access_key=pair[1]
    )

    def upload(key, payload):
        digest = hashlib.sha256(payload).hexdigest()
        client.upload_fileobj(io.BytesIO(payload), "bench", key, ExtraArgs={"Metadata": {"sha256": digest}})

    return upload


def connect_put_object(url, pair):
    import boto3

    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=pair[0], aws_secret_access_key=pair[1]
    )
    return lambda key, payload: client.put_object(Bucket="bench", Key=key, Body=payload)


CLIENTS = {"ours": connect_ours, "minio-py": connect_minio, "boto3": connect_boto3, "put_object": connect_put_object}


def be_client(name, url, pair, size, count):
    """Upload ``count`` times. Print the CPU seconds and wall seconds of one upload."""
    upload = CLIENTS[name](url, pair)
    payload = os.urandom(1 << 20) * -(-size // (1 << 20))
    payload = payload[:size]
    upload("warm", payload[: 1 << 20])
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(count):
        upload("payload", payload)
    after = resource.getrusage(resource.RUSAGE_SELF)
    wall = time.perf_counter() - wall
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps([cpu / count, wall / count]))


def be_sink(certificate):
    """Serve https, and discard the data, until stdin ends."""
    from scripted_server import ScriptedServer

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ScriptedServer(tls=context, keep_bodies=False) as server:
        print(server.url, flush=True)
        sys.stdin.read()


def run(*arguments, **environment):
    command = [sys.executable, "-P", __file__, *map(str, arguments)]
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def measure(url, pair, names, size, count, runs, **environment):
    """Return each client's median CPU and wall seconds per upload. The clients take turns."""
    figures = {name: [] for name in names}
    for _ in range(runs):
        for name in names:
            figures[name].append(run("--client", name, url, *pair, size, count, **environment))
    return {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in figures.items()}


def show(title, figures, targets, unit):
    print(f"\n{title}")
    for name, (cpu, wall) in figures.items():
        print(f"  {name:12} {cpu * unit:7.2f} CPU {wall * unit:7.2f} wall")
    for other, limit, column in targets:
        ratio = figures["ours"][column] / figures[other][column]
        verdict = "holds" if ratio <= limit else "MISSED"
        print(f"  ours / {other}: {ratio:.2f} {('CPU', 'wall')[column]} (at most {limit}: {verdict})")


def main():
    import boto3
    import trustme
    from local_store import ADMIN, LocalStore

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512, help="size of a large upload in MiB; default: 512")
    parser.add_argument("--runs", type=int, default=3, help="runs per client; default: 3")
    options = parser.parse_args()
    size, big = options.size << 20, ("ours", "minio-py", "boto3")
    per_gib = GIB / size

    with LocalStore() as store:
        admin = boto3.client("s3", endpoint_url=store.url, region_name="us-east-1",
                             aws_access_key_id=ADMIN[0], aws_secret_access_key=ADMIN[1])
        admin.create_bucket(Bucket="bench")
        figures = measure(store.url, ADMIN, big, size, 1, options.runs)
        show("http to SeaweedFS, seconds per GiB", figures, [("minio-py", 1.6, 0), ("boto3", 0.5, 0)], per_gib)
        figures = measure(store.url, ADMIN, ("ours", "put_object", "minio-py", "boto3"), SMALL, 300, options.runs)
        show("http to SeaweedFS, milliseconds per 64 KiB", figures, [("put_object", 1.15, 1)], 1000)

    with tempfile.TemporaryDirectory() as folder:
        authority, bundle, certificate = trustme.CA(), f"{folder}/ca.pem", f"{folder}/server.pem"
        authority.cert_pem.write_to_path(bundle)
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
        trust = {"AWS_CA_BUNDLE": bundle, "SSL_CERT_FILE": bundle}
        sink = subprocess.Popen([sys.executable, "-P", __file__, "--sink", certificate],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            url = sink.stdout.readline().strip()
            figures = measure(url, ADMIN, big, size, 1, options.runs, **trust)
            show("https to a sink, seconds per GiB", figures, [("minio-py", 1.2, 0), ("boto3", 0.5, 0)], per_gib)
            figures = measure(url, ADMIN, ("ours", "put_object", "minio-py"), SMALL, 300, options.runs, **trust)
            show("https to a sink, milliseconds per 64 KiB", figures, [("put_object", 1.15, 1)], 1000)
        finally:
            sink.stdin.close()
            sink.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        name, url, access, secret, size, count = sys.argv[2:]
        be_client(name, url, (access, secret), int(size), int(count))
    elif sys.argv[1:2] == ["--sink"]:
        be_sink(sys.argv[2])
    else:
        main()
