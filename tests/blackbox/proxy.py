"""A TCP proxy before MySQL that breaks connections at COMMIT, before or after it was passed on: every so many COMMITs,
every other time before and after, or when it is told to."""

import itertools
import socket
import threading
from collections import deque
from urllib.parse import urlsplit, urlunsplit

# Every how many COMMITs one is cut.
COMMITS_BETWEEN_CUTS = 7


class CommitCutter:
    """Listens while the `with` block runs; `url` is the server's, through the proxy."""

    def __init__(self, server_url, commits_between_cuts=COMMITS_BETWEEN_CUTS):
        self.server = urlsplit(server_url)
        self.listener = socket.create_server(("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        user = self.server.netloc.rpartition("@")[0]
        self.url = urlunsplit(self.server._replace(netloc=f"{user}@127.0.0.1:{port}"))
        self.commits = itertools.count(1)
        self.commits_between_cuts = commits_between_cuts
        # What to do to the COMMITs to come: "before" or "after".
        self.due = deque()
        self.cuts_before = self.cuts_after = 0

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((self.server.hostname, self.server.port))
            except OSError:
                # The server is away, and whoever connects to it sees that.
                client.close()
                continue
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._answers, args=(server, client), daemon=True).start()
            threading.Thread(target=self._requests, args=(client, server), daemon=True).start()

    def _answers(self, server, client):
        try:
            while data := server.recv(65536):
                client.sendall(data)
        except OSError:
            pass
        close(client, server)

    def _requests(self, client, server):
        try:
            while data := client.recv(65536):
                # A COM_QUERY packet whose last statement, or only one, is COMMIT.
                is_commit = data[4:5] == b"\x03" and data[5:].upper().rstrip(b"; ").endswith(b"COMMIT")
                way = self._way_to_cut() if is_commit else None
                if way == "before":
                    self.cuts_before += 1
                    break
                if way == "after":
                    self.cuts_after += 1
                    # The client's side goes first, so the answer cannot reach it.
                    client.close()
                    server.sendall(data)
                    server.settimeout(1)
                    server.recv(1)
                    break
                server.sendall(data)
        except OSError:
            pass
        close(client, server)

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
