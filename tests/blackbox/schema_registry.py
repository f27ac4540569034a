"""Schema registries for the tests: the real one of `scripts/services` (Apicurio), an address in front of it that fails as it is
told, one that answers from memory, and an OAuth server that hands out tokens."""

import base64
import io
import json
import os
import re
import socket
import ssl
import struct
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fastavro

from harness import Services, unique

MEDIA = "application/vnd.schemaregistry.v1+json"
SLOW_SECONDS = 0.5


def ask(url, body=None):
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": MEDIA})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


class NoJava(Exception):
    """This machine has no Java that the registry runs on."""


class Registry:
    """The registry of `scripts/services`."""

    def __init__(self, url):
        self.url = url

    @classmethod
    def started(cls):
        """The real one; it is started if it is not running."""
        try:
            url = Services().exports("up", "registry")["REGISTRY_URL"]
        except AssertionError as error:
            if "needs Java" in str(error):
                raise NoJava(str(error)) from error
            raise
        return cls(os.environ.get("REGISTRY_URL", url))

    def register(self, subject, schema, *references):
        body = {"schema": json.dumps(schema)}
        if references:
            body["references"] = [{"name": n, "subject": s, "version": v} for n, s, v in references]
        return ask(f"{self.url}/subjects/{subject}/versions", body)["id"]


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    authorization: str | None
    body: bytes


class Server(ThreadingHTTPServer):
    """Handshakes are made by the threads of the connections, so one that fails holds up no other."""

    daemon_threads = True

    def __init__(self, handler, tls):
        # The context of new connections; it may be exchanged.
        self.tls = tls
        super().__init__(("127.0.0.1", 0), handler)

    def get_request(self):
        connection, address = super().get_request()
        if self.tls:
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def shutdown_request(self, request):
        # Data that was not read would turn the end of the connection, and an alert before it, into a reset.
        try:
            request.shutdown(socket.SHUT_WR)
            request.settimeout(1)
            while socket.socket.recv(request, 4096):
                pass
        except (OSError, ValueError):
            pass
        request.close()

    def handle_error(self, request, client_address):
        """A client that was refused, or has given up, is no fault of the test."""


class Served:
    """An HTTP server of a test's own. It notes what is asked, and fails as it is told; otherwise it answers what `found` says."""

    def __init__(self, tls=None):
        served = self
        # The paths, and what was sent to prove who asks.
        self.asked, self.authorizations = [], []
        self.is_away = False
        # What the next request gets instead of an answer: a status, "cut", "half", "html", "redirect" or "slow"; None: an answer.
        self.fault = lambda: None
        # Where it redirects to.
        self.elsewhere = "http://127.0.0.1:1/"

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                served.answer(self)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = Server(Handler, tls)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        request = Request(handler.command, handler.path, handler.headers.get("Authorization"), body)
        self.asked.append(request.path)
        self.authorizations.append(request.authorization)
        fault = "cut" if self.is_away else self.fault()
        if fault == "slow":
            time.sleep(SLOW_SECONDS)
        match fault:
            case "cut":
                found = None
            case "html":
                found = 200, b"<html>Please log in</html>"
            case "redirect":
                found = 302, b""
            case int():
                found = fault, b'{"message": "no"}'
            case _:
                found = self.found(request)
        if found is None:
            handler.close_connection = True
            return
        status, body = found
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", MEDIA)
        handler.send_header("Content-Length", str(len(body)))
        if status == 302:
            handler.send_header("Location", self.elsewhere)
        handler.end_headers()
        try:
            handler.wfile.write(body[: len(body) // 2] if fault == "half" else body)
        except OSError:
            # Whoever asked has given up.
            pass

    def found(self, request):
        """(status, body), or None to close the connection."""
        raise NotImplementedError

    def ids(self):
        """The ids that were asked for."""
        return sorted(int(path.rsplit("/", 1)[1]) for path in self.asked if path.startswith("/schemas/ids/"))


class Front(Served):
    """An address in front of a registry."""

    def __init__(self, registry, tls=None):
        self.registry = registry
        super().__init__(tls)

    def found(self, request):
        sent = urllib.request.Request(
            self.registry.url + request.path, request.body or None, {"Content-Type": MEDIA}, method=request.method
        )
        try:
            with urllib.request.urlopen(sent, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except (urllib.error.URLError, OSError):
            return None


class Memory(Served):
    """A registry that has these schemas by id, as JSON or text, and answers those who send the header that `wanted` returns."""

    def __init__(self, schemas, tls=None, wanted=lambda: None):
        self.schemas, self.wanted = schemas, wanted
        super().__init__(tls)

    def found(self, request):
        wanted = self.wanted()
        if wanted is not None and request.authorization != wanted:
            return 401, {"error_code": 40101, "message": f"{request.authorization} is not authorized"}
        if request.path == "/subjects":
            return 200, []
        if found := re.fullmatch(r"/schemas/ids/(\d+)", request.path):
            schema = self.schemas.get(int(found[1]))
            if schema is not None:
                return 200, {"schema": schema if isinstance(schema, str) else json.dumps(schema)}
        return 404, {"error_code": 40403, "message": f"Schema not found, asked by {request.authorization}"}


class Tokens(Served):
    """An OAuth server that gives a new token to each request of its client. The last one is good."""

    def __init__(self, client_id, secret, lifetime=3600, word="token"):
        self.client_id, self.secret, self.lifetime, self.word = client_id, secret, lifetime, word
        self.count = 0
        super().__init__()

    @property
    def current(self):
        return f"{self.word}{self.count}"

    def bearer(self):
        return f"Bearer {self.current}"

    def found(self, request):
        if request.authorization != basic(self.client_id, self.secret):
            return 401, {"error": "invalid_client", "error_description": f"not {request.authorization}"}
        self.count += 1
        return 200, {"access_token": self.current, "token_type": "Bearer", "expires_in": self.lifetime}


def basic(username, password):
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def record(*fields, name="movement"):
    return {"type": "record", "name": name, "namespace": "bank", "fields": [{"name": n, "type": t} for n, t in fields]}


MONEY = record(("cents", "long"), name="Money")
FIRST = record(("customer", "int"), ("amount", "double"))
SECOND = record(("branch", "string"), ("customer", "int"), ("amount", "float"), ("note", "string"))
THIRD = record(("fee", "Money"), ("customer", "int"), ("amount", "double"), ("note", ["null", "string"]))
THIRD_WHOLE = record(("fee", MONEY), ("customer", "int"), ("amount", "double"), ("note", ["null", "string"]))
FOURTH = record(("amount", "int"), ("customer", "int"))
WHOLE = (FIRST, SECOND, THIRD_WHOLE, FOURTH)
WRITTEN = [fastavro.parse_schema(schema) for schema in WHOLE]
READER = {
    **FIRST,
    "fields": [*FIRST["fields"], {"name": "note", "type": ["null", "string"], "default": None}],
}
VIEW = "SELECT kafka_partition AS part, kafka_offset AS place, customer, amount, note FROM batch"


def framed(schema_id, schema, value):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, value)
    return struct.pack(">bI", 0, schema_id) + out.getvalue()


class Writers:
    """Writers of four versions of one subject, the third with a reference."""

    def __init__(self, registry):
        subject, money = unique("movements"), unique("money")
        registry.register(money, MONEY)
        self.ids = [
            registry.register(subject, FIRST),
            registry.register(subject, SECOND),
            registry.register(subject, THIRD, ("bank.Money", money, 1)),
            registry.register(subject, FOURTH),
        ]

    def payload(self, version, n):
        value = {"customer": n, "amount": n / 2, "note": f"n{n}", "branch": "b", "fee": {"cents": n}}
        if version == 3:
            value["amount"] = n
        return framed(self.ids[version], WRITTEN[version], value)


def expected(version, n):
    return (n, n if version == 3 else n / 2, f"n{n}" if version in (1, 2) else None)


def registry_job(new_job, topic, url, timeout="20s", **login):
    """A job that reads `READER` through the registry at this address."""
    job = new_job(
        topic,
        avro_framing="confluent",
        schema_registry={"url": url, "timeout": timeout, **login},
        reference_tables={},
        state_tables={},
        outputs={"seen": {"table": "seen", "mode": "append"}},
    )
    job.write("schema.avsc", READER)
    job.view("seen", VIEW)
    return job


def rows(database):
    return {(part, place): tuple(row) for part, place, *row in database.rows("SELECT part, place, customer, amount, note FROM seen")}


def server_context(certificate, clients=None):
    """TLS with this certificate. `clients` is the file of who signs the certificates that clients must have."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    return context
