"""What is measured: each workload, who takes part in it, and what the bench knows about where ours is behind."""

from dataclasses import dataclass, replace

from clients import DEFAULT, DIGEST, SYNC

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
LIBRARIES = ("minio-py", "boto3", "obstore")
PROGRAMS = ("s5cmd", "rclone")
BIG = 64 * MIB  # from here on the page cache matters: a scratch file is written before, and no copy is kept


@dataclass(frozen=True)
class Workload:
    """Work that clients do in turns.

    Attributes:
        group: The chart that it is drawn in.
        title: What is done.
        place: Where the objects are: ``origin``, ``tls_origin``, ``store`` or ``sink``.
        action: ``get``, ``put``, ``get_all`` or ``put_all``.
        size: Bytes of an object.
        peers: The other clients.
        same: What peers do to do the same work as ours.
        default: Whether they are also measured doing what they do by default.
        default_from: The workload that has been measured for it; None for this one.
        count: Objects one after the other in a process, or in a folder.
        one_core: Whether the client is held to one core.
        from_file: Whether a file is uploaded, and not bytes.
        fresh: Whether the time counts from the start of the process.
        ours: Our name.
    """

    group: str
    title: str
    place: str
    action: str
    size: int
    peers: tuple
    same: str = SYNC
    default: bool = True
    default_from: str | None = None
    count: int = 1
    one_core: bool = False
    from_file: bool = False
    fresh: bool = False
    ours: str = "ours"

    def contenders(self):
        """Return pairs of a client and its work, in the order of their turns."""
        pairs = [(client, self.same) for client in (self.ours, *self.peers)]
        if self.default and self.default_from is None:
            pairs += [(client, DEFAULT) for client in self.peers if client != "limit"]
        return pairs


def _download(scheme, digest):
    return Workload(
        "download", f"1 GiB over {scheme}, {'with' if digest else 'no'} digest, one core",
        "origin" if scheme == "http" else "tls_origin", "get", GIB, ("limit", *LIBRARIES, *PROGRAMS),
        same=DIGEST if digest else SYNC, default_from=f"down-{scheme}" if digest else None, one_core=True,
    )  # fmt: skip


def _upload(scheme, from_file):
    return Workload(
        "upload", f"512 MiB of {'a file' if from_file else 'bytes'} up over {scheme}",
        "store" if scheme == "http" else "sink", "put", 512 * MIB,
        ("limit", *LIBRARIES, *(PROGRAMS if from_file else ())), same=DIGEST, from_file=from_file,
    )  # fmt: skip


def _size(size):
    unit, name = next((unit, name) for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")) if size >= unit)
    return Workload(
        "sizes", f"{size // unit} {name} over http", "origin", "get", size, ("limit", *LIBRARIES, *PROGRAMS),
        default=False, count=max(1, min(50, 16 * MIB // size)),
    )  # fmt: skip


_SMALL = {"size": 64 * KIB, "same": DIGEST}
_MANY = {"place": "store", "size": 64 * KIB, "count": 2000, "peers": PROGRAMS, "ours": "cdn-manager"}
SIZES = [KIB << (2 * step) for step in range(12)]  # 1 KiB to 4 GiB
WORKLOADS = {
    "down-http": _download("http", False),
    "down-http-digest": _download("http", True),
    "down-https": _download("https", False),
    "down-https-digest": _download("https", True),
    "small-down": Workload(
        "small", "64 KiB down, with digest, one at a time", "store", "get",
        peers=("limit", "minio-py", "bare boto3", "boto3", "obstore"), count=200, **_SMALL),
    "small-up": Workload(
        "small", "64 KiB up, with digest, one at a time", "store", "put",
        peers=("limit", "minio-py", "bare boto3", "boto3", "obstore"), count=200, **_SMALL),
    "many-down": Workload("many", "2,000 x 64 KiB down by the command, 16 jobs", action="get_all", **_MANY),
    "many-up": Workload(
        "many", "2,000 x 64 KiB up by the command, 16 jobs", action="put_all", same=DEFAULT, default=False, **_MANY),
    "up-http-bytes": _upload("http", False),
    "up-http-file": _upload("http", True),
    "up-https-bytes": _upload("https", False),
    "up-https-file": _upload("https", True),
    "first": Workload(
        "first", "From a new process to its first object, 64 KiB with digest", "store", "get",
        peers=("bare boto3", "minio-py", "obstore"), fresh=True, **_SMALL),
} | {f"size-{size}": _size(size) for size in SIZES}  # fmt: skip

NOTES = {
    "many-down": "The same work is `sync -f` of the folder afterwards. Ours also compares each digest, which the others"
    " do not.",
    **dict.fromkeys(
        ("up-https-bytes", "up-https-file"),
        "To a server that keeps nothing but sizes.",
    ),
    "many-up": "Ours also stores each digest, and first asks the store whether it has the file already, which the"
    " others do not; `--force` does not ask.",
    "small-down": "Each object is written to a file of its own.",
    "first": "From before the process is started until the object is on disk.",
}

# Why ours is behind, by workload. An empty reason shows that it is not known yet.
REASONS = dict.fromkeys(WORKLOADS, "") | {
    "small-down": "Python's HTTP client, where obstore's is compiled; and a sync of the directory, which no peer makes",
    "small-up": "Python's HTTP client, where obstore's is compiled",
    "many-down": "fifteen system calls of an object, after each of which 16 threads compete for Python's one lock; each"
    " file is synced by itself",
    "many-up": "each file is asked for before it is sent; and Python starts in a quarter of a second",
    "up-http-bytes": "parts are signed, so there is a second SHA-256 of everything; it runs on the other core",
    "up-https-bytes": "Python's TLS sends 16 KiB at a time",
    "up-http-file": "as for bytes",
    "first": "boto3's client is made first; minio-py and obstore need none",
}

def quick(workload):
    """Return the same with small sizes: it shows that the bench works."""
    return replace(workload, size=min(workload.size, 8 * MIB), count=min(workload.count, 20))
