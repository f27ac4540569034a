"""What a run is made of, as its faults see it."""

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

from chaos.fleet import Fleet
from chaos.pair import Pair
from chaos.traffic import Traffic
from harness import Database, Services, Topic
from ledger import TopicReader


class NotDone(Exception):
    """The fault had nothing to hit."""


@dataclass
class World:
    fleet: Fleet
    topic: Topic
    traffic: Traffic
    reader: TopicReader
    database: Database
    job: str
    pair: Pair
    services: Services
    # Makes movements from a seed, as the traffic has them.
    movements: callable
    # Whether state may expire, so that no valid message may claim to be old.
    has_ttl: bool
    is_in_charge: bool = False
    outages: dict = field(default_factory=dict)

    def __post_init__(self):
        self.is_in_charge = self.services.serves()
        # A server is stopped, moved or compared by one fault at a time.
        self.outages = {"mysql": self.pair.lock, "kafka": threading.Lock()}

    @contextmanager
    def alone_with(self, server):
        """Keeps other faults from stopping or moving this server meanwhile."""
        if not self.outages[server].acquire(blocking=False):
            raise NotDone("another fault is busy with the server")
        try:
            yield
        finally:
            self.outages[server].release()

    def pick(self, fault, usable=lambda _: True):
        """An instance that is running, was not told to end and is not frozen."""
        instance = self.fleet.pick(fault.which, lambda i: i.told is None and not i.is_frozen and usable(i))
        if instance is None:
            raise NotDone("no instance to hit")
        return instance

    def outage(self, server, way, seconds):
        """Stops or kills a server and starts it again; returns what was done."""
        if not self.is_in_charge:
            raise NotDone("the servers were not started by scripts/services")
        with self.alone_with(server):
            name = self.pair.primary.name if server == "mysql" else server
            begun = time.monotonic()
            self.services(way, name)
            time.sleep(seconds)
            self.services("start", name)
            return f"{name} was back after {time.monotonic() - begun:.1f} s"
