"""TCP proxies before MySQL.

`Proxy` passes connections on. It can hold back what is in flight, break all connections, and lead new ones to another
server, as an address does that moves. `CommitCutter` also breaks connections at COMMIT, before or after it was passed
on: once every few COMMITs, alternating between before and after, or when it is told to.
"""

import itertools
import socket
import threading
from collections import deque
from urllib.parse import urlsplit, urlunsplit

# A COMMIT is cut after this many.
COMMITS_BETWEEN_CUTS = 7


class Proxy:
    """Listens while the `with` block runs; `url` is the server's, through the proxy."""

    def __init__(self, server_url):
        self.server = urlsplit(server_url)
        self.listener = socket.create_server(("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        user = self.server.netloc.rpartition("@")[0]
        self.url = urlunsplit(self.server._replace(netloc=f"{user}@127.0.0.1:{port}"))
        self.passes = threading.Event()
        self.passes.set()
        # The open connections: (client's socket, server's socket).
        self.links = set()
        self.lock = threading.Lock()

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        close(self.listener)
        self.passes.set()
        self.cut()

    def stall(self):
        """Holds back everything from now on. Connections stay open, new ones too."""
        self.passes.clear()

    def go_on(self):
        """Delivers what was held back."""
        self.passes.set()

    def cut(self):
        """Breaks all connections."""
        with self.lock:
            links = list(self.links)
        for link in links:
            close(*link)

    def lead_to(self, server_url):
        """Leads new connections to another server. Those that are open stay where they are."""
        self.server = urlsplit(server_url)

    def server_side_ports(self):
        """The ports from which the open connections reach the server, as the server sees them."""
        with self.lock:
            links = list(self.links)
        ports = set()
        for _, server in links:
            try:
                ports.add(server.getsockname()[1])
            except OSError:
                # It was closed just now.
                pass
        return ports

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((self.server.hostname, self.server.port))
            except OSError:
                # The server is away: the client sees a connection that ends.
                client.close()
                continue
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.links.add((client, server))
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()

    def _pass_on(self, client, server):
        answers = threading.Thread(target=self._answers, args=(client, server), daemon=True)
        answers.start()
        try:
            while data := client.recv(65536):
                self.passes.wait()
                if not self._request(data, client, server):
                    break
        except OSError:
            pass
        # The end of a connection is held back as well: a server that nothing reaches does not see it.
        self.passes.wait()
        close(client, server)
        answers.join()
        with self.lock:
            self.links.discard((client, server))

    def _answers(self, client, server):
        try:
            while data := server.recv(65536):
                self.passes.wait()
                client.sendall(data)
        except OSError:
            pass
        self.passes.wait()
        close(client, server)

    def _request(self, data, _client, server):
        """Passes a request on; False ends the connection."""
        server.sendall(data)
        return True


class CommitCutter(Proxy):
    """A proxy that breaks connections at COMMIT."""

    def __init__(self, server_url, commits_between_cuts=COMMITS_BETWEEN_CUTS):
        super().__init__(server_url)
        self.commits = itertools.count(1)
        self.commits_between_cuts = commits_between_cuts
        # What to do to the next COMMITs: "before" or "after".
        self.due = deque()
        self.cuts_before = self.cuts_after = 0

    def _request(self, data, client, server):
        # A COM_QUERY packet whose last statement, or only one, is COMMIT.
        is_commit = data[4:5] == b"\x03" and data[5:].upper().rstrip(b"; ").endswith(b"COMMIT")
        way = self._way_to_cut() if is_commit else None
        if way == "before":
            self.cuts_before += 1
            return False
        if way == "after":
            self.cuts_after += 1
            # The client's side goes first, so the answer cannot reach it; the server's once it has answered.
            close(client)
            server.sendall(data)
            server.settimeout(1)
            server.recv(1)
            return False
        server.sendall(data)
        return True

    def _way_to_cut(self):
        """How this COMMIT is cut, or None."""
        number = next(self.commits)
        if self.due:
            return self.due.popleft()
        if self.commits_between_cuts and number % self.commits_between_cuts == 0:
            return "before" if number // self.commits_between_cuts % 2 else "after"
        return None


def close(*sockets):
    for each in sockets:
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        each.close()
