"""A small Google Cloud Storage on this machine, to which TensorFlow's own gs:// client speaks.

TensorFlow has the names of Google's hosts built in, but its HTTP client honours `https_proxy` and
`CURL_CA_BUNDLE`. So this server is both the proxy that is asked for a connection to Google and,
under a certificate made for the purpose, the host at the other end. Nothing inside TensorFlow is
replaced: readers, writers, retries and caches are those that meet the real store.

Like the real one it has objects and no folders, shows an object whole when its upload has ended
and never before, lists what was written at once, and knows no links and no appending. Lists come
in pages of three. The bucket `missing` does not exist, nobody may write to `readonly`. The next
upload of an object whose name holds the words in the object `stall` stops halfway and is lost.

    python tests/cloud.py KEY_AND_CERTIFICATE.pem

prints its port and serves until its standard input is closed.
"""

import contextlib
import datetime
import http.server
import itertools
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator

HOSTS = "storage.googleapis.com", "www.googleapis.com"
PAGE = 3
STALL = 3.0  # seconds


@contextlib.contextmanager
def running() -> Iterator[dict[str, str]]:
    """Runs a store, and yields the environment in which gs:// leads to it.

    Its certificate is signed by an authority that is made here, and that only the processes
    with this environment trust.
    """
    import trustme  # here, since neither the server nor tests without a store need it

    authority = trustme.CA()
    certificate = authority.issue_cert(*HOSTS).private_key_and_cert_chain_pem
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        authority.cert_pem.tempfile() as trusted,
        certificate.tempfile() as own,
        subprocess.Popen([sys.executable, __file__, own], text=True, **pipes) as process,
    ):
        yield {
            "https_proxy": f"http://127.0.0.1:{process.stdout.readline().strip()}",
            "no_proxy": "",
            "CURL_CA_BUNDLE": trusted,
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "nobody",
            "NO_GCE_CHECK": "true",
        }  # the end of the block closes its standard input, which ends it


class Store:
    """Objects by bucket and name: content, generation and time of the last change."""

    def __init__(self):
        self.objects: dict[tuple[str, str], tuple[bytes, int, str]] = {}
        self.uploads: dict[str, tuple[str, str]] = {}
        self.lock, self.numbers = threading.Lock(), itertools.count(1)

    def put(self, bucket, name, content):
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        with self.lock:
            updated = now.replace("+00:00", "Z")
            self.objects[bucket, name] = content, next(self.numbers), updated

    def loses(self, session):
        """Says, after a while, whether an upload is to stop halfway."""
        bucket, name = self.uploads[session]
        words = self.objects.get((bucket, "stall"))
        if words is None or words[0].decode() not in name:
            return False
        del self.objects[bucket, "stall"]
        time.sleep(STALL)
        return True

    def names(self, bucket, prefix, delimiter):
        """Returns names and, for those with the delimiter behind the prefix, their beginnings."""
        with self.lock:
            names = [n for b, n in self.objects if b == bucket and n.startswith(prefix)]
        listed = set()
        for name in names:
            head, mark, _ = name[len(prefix) :].partition(delimiter or "\0")
            listed.add(prefix + head + mark)
        return sorted(listed)


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection: first the proxy's CONNECT, then requests to the store."""

    protocol_version = "HTTP/1.1"
    store = Store()

    def do_CONNECT(self):
        self.send_response(200)
        self.end_headers()
        self.close_connection = False
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)

    def handle_request(self):
        url = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(url.query))
        self.body = self.read_body()
        if self.body is None:
            self.close_connection = True  # the client died; what it sent is forgotten
            return
        for method, pattern, action in ROUTES:
            match = re.fullmatch(pattern, url.path)
            if match and method == self.command:
                parts = [urllib.parse.unquote(part) for part in match.groups()]
                if parts[0] == "missing":
                    self.answer(404)
                elif parts[0] == "readonly" and method != "GET":
                    self.answer(403)
                else:
                    action(self, *parts)
                return
        self.answer(501)

    do_GET = do_POST = do_PUT = do_DELETE = handle_request

    def read_body(self) -> bytes | None:
        """Returns what the client sends, or `None` if it stops in the middle."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size)
            return body if len(body) == size else None
        chunks = []
        while line := self.rfile.readline().strip():
            if self.command == "PUT" and self.store.loses(self.path.rpartition("/")[2]):
                return None
            chunk = self.rfile.read(int(line, 16) + 2)
            if len(chunk) == 2:
                return b"".join(chunks)
            chunks.append(chunk[:-2])
        return None

    def answer(self, status, content=b"", **headers):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": len(content)}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(content)

    def describe_bucket(self, bucket):
        self.answer(200, {"name": bucket})

    def describe_layout(self, bucket):
        self.answer(200, {"hierarchicalNamespace": {"enabled": False}})

    def describe(self, bucket, name):
        content, generation, updated = self.store.objects.get((bucket, name), (None, 0, ""))
        if content is None:
            self.answer(404)
            return
        about = {"size": str(len(content)), "generation": str(generation), "updated": updated}
        self.answer(200, about)

    def list(self, bucket):
        names = self.store.names(bucket, self.query.get("prefix", ""), self.query.get("delimiter"))
        names = [name for name in names if name > self.query.get("pageToken", "")]
        page = names[: min(PAGE, int(self.query.get("maxResults", PAGE)))]
        # A beginning that stands for several objects is no object of its own.
        folders = [n for n in page if n.endswith("/") and n != self.query.get("prefix")]
        answer = {"items": [{"name": n} for n in page if n not in folders], "prefixes": folders}
        if len(page) < len(names):
            answer["nextPageToken"] = page[-1]
        self.answer(200, answer)

    def read(self, bucket, name):
        content = self.store.objects.get((bucket, name), (None,))[0]
        if content is None:
            self.answer(404)
            return
        first, last = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups()
        if int(first) >= len(content):
            self.answer(416)
        else:
            self.answer(206, content[int(first) : int(last) + 1])

    def begin_upload(self, bucket):
        name = self.query["name"]
        if self.query["uploadType"] == "resumable":
            session = str(next(self.store.numbers))
            self.store.uploads[session] = bucket, name
            self.answer(200, Location=f"https://www.googleapis.com/upload/{bucket}/{session}")
        elif (bucket, name) in self.store.objects and "ifGenerationMatch" in self.query:
            self.answer(412)
        else:
            self.store.put(bucket, name, self.body)
            self.answer(200, {})

    def end_upload(self, bucket, session):
        self.store.put(bucket, self.store.uploads.pop(session)[1], self.body)
        self.answer(200, {})

    def delete(self, bucket, name):
        with self.store.lock:
            removed = self.store.objects.pop((bucket, name), None)
        self.answer(204 if removed else 404)

    def copy(self, bucket, name, to_bucket, to_name):
        self.store.put(to_bucket, to_name, self.store.objects[bucket, name][0])
        self.answer(200, {"done": True})

    def log_message(self, *_):
        pass


_OBJECT = r"/storage/v1/b/([^/]+)/o/([^/]+)"
ROUTES = [
    ("GET", r"/storage/v1/b/([^/]+)", Handler.describe_bucket),
    ("GET", r"/storage/v1/b/([^/]+)/storageLayout", Handler.describe_layout),
    ("GET", r"/storage/v1/b/([^/]+)/o", Handler.list),
    ("GET", _OBJECT, Handler.describe),
    ("DELETE", _OBJECT, Handler.delete),
    ("POST", _OBJECT + r"/rewriteTo/b/([^/]+)/o/([^/]+)", Handler.copy),
    ("POST", r"/upload/storage/v1/b/([^/]+)/o", Handler.begin_upload),
    ("PUT", r"/upload/([^/]+)/(\d+)", Handler.end_upload),
    ("GET", r"/([^/]+)/([^/]+)", Handler.read),
]


class Server(http.server.ThreadingHTTPServer):
    """Says nothing of clients that hang up, as killed ones do."""

    def handle_error(self, request, address):
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, address)


def serve(certificate: str):
    """Serves with the private key and certificate in this file."""
    server = Server(("127.0.0.1", 0), Handler)
    server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.context.load_cert_chain(certificate)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve(sys.argv[1])
