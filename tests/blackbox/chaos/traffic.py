"""The messages of a run: movements of customers who keep to a partition, of some who do not, or of both, and messages
that no job can process. What they are follows from the seed; when they are sent does not."""

import random
import threading
import time

from ledger import REFUSED_AGENCY

# Customers with a partition of their own, as messages keyed by customer have.
KEYED = range(1, 151)
# Customers whose movements come by all partitions: instances meet over their state. The last have no account.
UNKEYED = (401, 402, 403, 404, 405, 406, 9_001, 9_002)
# How many of the movements come by any partition, by the option `keys`.
UNKEYED_RATIO = {"customer": 0.0, "mixed": 0.3, "none": 1.0}
BAD_RATIO = 0.01
BURST = 20

LONG_AGENCY = "an agency with a name that is too long"

TICK_SECONDS = 0.02


def random_movement(rng, customer, number):
    """A movement of a customer, a second later than the one of the number before."""
    return {
        "customer": customer,
        "agency": f"{rng.randrange(20):04}",
        "operation_value": rng.randrange(1, 100_000) / 100,
        "operation_type": rng.randrange(2),
        "date": f"2026-{number // 2_419_200 % 12 + 1:02}-{number // 86_400 % 28 + 1:02}"
        f" {number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}",
        "account_balance": rng.randrange(100_000) / 100,
    }


class Movements:
    """Payloads from a seed, each with the partition and key that it is sent with."""

    def __init__(self, seed, keys, framing, homes):
        self.rng = random.Random(seed)
        self.keys, self.framing, self.homes = keys, framing, homes
        self.number = 0

    def next(self, partitions, is_bad=False):
        """(payload, partition, key) of the next message."""
        rng = self.rng
        is_unkeyed = rng.random() < UNKEYED_RATIO[self.keys]
        # Where all come by any partition, there are as many customers as otherwise.
        customer = rng.choice(UNKEYED if is_unkeyed and self.keys == "mixed" else KEYED)
        self.number += 1
        movement = random_movement(rng, customer, self.number)
        payload = self.spoilt(movement) if is_bad else self.framing.encode(movement, self.number)
        if is_unkeyed:
            return payload, rng.randrange(partitions), None
        return payload, customer % self.homes, str(customer).encode()

    def spoilt(self, movement):
        """The payload of a message that becomes a dead letter."""
        rng = self.rng
        whole = self.framing.encode(movement, self.number)
        match rng.randrange(9):
            case 0:
                return whole + b"\0"
            case 1:
                return whole[:-3]
            case 2:
                # A tombstone.
                return None
            case 3:
                return self.framing.encode({**movement, "operation_value": float("nan")}, self.number)
            case 4:
                return self.framing.encode({**movement, "agency": LONG_AGENCY}, self.number)
            case 5:
                return self.framing.encode({**movement, "agency": REFUSED_AGENCY}, self.number)
            case 6:
                return b""
            case 7:
                # With Confluent's framing, of a schema that nobody knows.
                return self.framing.unknown(rng.randrange(1 << 31), movement)
            case _:
                return b"\0" + rng.randbytes(rng.randrange(20))


class Traffic(threading.Thread):
    """Sends movements at a rate until it is told to stop."""

    def __init__(self, topic, rate, movements):
        super().__init__(daemon=True, name="traffic")
        self.topic, self.rate, self.movements = topic, rate, movements
        self.bad_due = 0
        self.stopping = threading.Event()

    def run(self):
        begun = time.monotonic()
        while not self.stopping.wait(TICK_SECONDS):
            due = int((time.monotonic() - begun) * self.rate)
            while self.movements.number < due and not self.stopping.is_set():
                self.send()
            self.topic.producer.poll(0)

    def stop(self):
        self.stopping.set()
        self.join()
        self.topic.flush()

    def send(self):
        is_bad = self.movements.rng.random() < BAD_RATIO or self.bad_due > 0
        self.bad_due = max(0, self.bad_due - is_bad)
        payload, partition, key = self.movements.next(self.topic.partitions, is_bad)
        self.topic.send(payload, partition=partition, key=key)
