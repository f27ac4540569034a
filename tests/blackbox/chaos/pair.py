"""Two MySQL servers behind one address: the first has a replica, the address moves to it, and the roles are swapped.

Replication is asynchronous, by global transaction identifiers. Either server becomes the other's replica as a copy of all
its files (CLONE), so a server that has transactions which the other lost can be used again.
"""

import threading
import time
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import pymysql

from harness import Database

CATCH_UP_SECONDS_MAX = 60
# The change to read-only waits for statements that are running.
READ_ONLY_WAIT_SECONDS_MAX = 40
# A server that has become a copy ends, and cannot start itself again; sometimes it ends before it says so.
CLONED = (3707, 2013)


@dataclass(frozen=True)
class Server:
    """A server by its name in `scripts/services`, and its addresses for the job and for an administrator."""

    name: str
    url: str
    admin_url: str

    def connect(self):
        return Database(self.admin_url, "mysql").connect()

    def stand_alone(self):
        """It follows no other server, and takes writes."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("STOP REPLICA")
            cursor.execute("RESET REPLICA ALL")
            cursor.execute("SET GLOBAL super_read_only = OFF")
            cursor.execute("SET GLOBAL read_only = OFF")


class Pair:
    """The server that the address leads to, and its replica, if there is one."""

    def __init__(self, primary, replica, database, proxies, services):
        self.primary, self.replica = primary, replica
        self.database, self.proxies, self.services = database, proxies, services
        # Whether the replica follows. Without one, the address cannot move.
        self.is_replicated = False
        # Held by whoever stops, moves or compares the servers.
        self.lock = threading.Lock()

    def admin(self):
        """The run's database on the primary, as an administrator."""
        return Database(self.primary.admin_url, self.database.name)

    def copies(self):
        """The run's database on each server that the address leads to, or may move to."""
        servers = [self.primary, self.replica] if self.is_replicated else [self.primary]
        return [Database(server.admin_url, self.database.name) for server in servers]

    def replicate(self, delay):
        """Makes the replica a copy of the primary which follows it, this many seconds late."""
        self.is_replicated = False
        source, password = urlsplit(self.primary.admin_url), self._password()
        with self.replica.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SET GLOBAL super_read_only = OFF")
            cursor.execute("SET GLOBAL clone_valid_donor_list = %s", (f"{source.hostname}:{source.port}",))
            try:
                cursor.execute(
                    f"CLONE INSTANCE FROM '{source.username}'@'{source.hostname}':{source.port} IDENTIFIED BY %s",
                    (password,),
                )
            except pymysql.Error as error:
                if error.args[0] not in CLONED:
                    raise
        self.services("stop", self.replica.name)
        self.services("start", self.replica.name)
        self.follow(delay)

    def follow(self, delay):
        """The replica, which has nothing that the primary lacks, takes what it writes from now on."""
        source = urlsplit(self.primary.admin_url)
        with self.replica.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SET GLOBAL super_read_only = ON")
            cursor.execute(
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST = %s, SOURCE_PORT = %s, SOURCE_USER = %s, SOURCE_PASSWORD = %s, "
                "SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = 1, "
                "SOURCE_RETRY_COUNT = 600, SOURCE_DELAY = %s",
                (source.hostname, source.port, source.username, self._password(), delay),
            )
            cursor.execute("START REPLICA")
        # Raises where the replica is not a copy.
        self._wait_for(self._executed(self.primary))
        self.is_replicated = True

    def switch_over(self, is_cut, delay):
        """The primary becomes read-only, the replica gets all it has, and the address moves."""
        with self.primary.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SET lock_wait_timeout = %s", (READ_ONLY_WAIT_SECONDS_MAX,))
            try:
                cursor.execute("SET GLOBAL super_read_only = ON")
                self._wait_for(self._executed(self.primary))
            except (pymysql.Error, AssertionError):
                cursor.execute("SET GLOBAL super_read_only = OFF")
                cursor.execute("SET GLOBAL read_only = OFF")
                raise
        self._promote(is_cut)
        self.follow(delay)

    def fail_over(self, is_dead, is_cut, delay):
        """The primary dies or becomes read-only, and the address moves to what the replica has at that moment. What it lacks
        is lost; returns how many transactions that were."""
        if is_dead:
            self.services("kill", self.primary.name)
        else:
            with self.primary.connect() as connection, connection.cursor() as cursor:
                cursor.execute("SET lock_wait_timeout = %s", (READ_ONLY_WAIT_SECONDS_MAX,))
                cursor.execute("SET GLOBAL super_read_only = ON")
        self._promote(is_cut)
        if is_dead:
            self.services("start", self.replica.name)
        lost = self._lost()
        # Connections to the old server that were left show for a while what the new one has lost.
        time.sleep(delay)
        for proxy in self.proxies():
            proxy.cut()
        self.replicate(delay)
        return lost

    def hold_back(self):
        """The replica gets nothing more: the next fail-over loses what is committed from now on."""
        with self.replica.connect() as connection, connection.cursor() as cursor:
            cursor.execute("STOP REPLICA")

    def part(self):
        """Makes them two servers that know nothing of each other."""
        self.replica.stand_alone()
        self.is_replicated = False

    def _promote(self, is_cut):
        self.part()
        self.primary, self.replica = self.replica, self.primary
        for proxy in self.proxies():
            proxy.lead_to(self.primary.url)
            if is_cut:
                proxy.cut()
        self.database.lead_to(self.primary.url)

    def _lost(self):
        """Transactions that only the old primary has."""
        kept = self._executed(self.primary)
        with self.replica.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT GTID_SUBTRACT(@@gtid_executed, %s)", (kept,))
            return count_of(cursor.fetchone()[0])

    def _executed(self, server):
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT @@gtid_executed")
            return cursor.fetchone()[0]

    def _wait_for(self, executed):
        with self.replica.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)", (executed, CATCH_UP_SECONDS_MAX))
            assert cursor.fetchone()[0] == 0, (
                f"{self.replica.name} lags {CATCH_UP_SECONDS_MAX} s behind {self.primary.name}"
            )

    def _password(self):
        return unquote(urlsplit(self.primary.admin_url).password)


def count_of(executed):
    """How many transactions a set of identifiers has, such as `uuid:1-5:7,uuid:3`."""
    count = 0
    for of_server in executed.replace("\n", "").split(","):
        for interval in of_server.split(":")[1:]:
            first, _, last = interval.partition("-")
            count += int(last or first) - int(first) + 1
    return count
