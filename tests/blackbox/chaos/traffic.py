"""The messages of a run: movements of customers who keep to a partition and of some who do not, and messages that no
job can process. What they are follows from the seed; when they are sent does not."""

import random
import threading
import time

from avro import customer_movement
from ledger import REFUSED_AGENCY

# Customers with a partition of their own, as messages keyed by customer have.
KEYED = range(1, 151)
# Customers whose movements come by all partitions: instances meet over their state. The last have no account.
UNKEYED = (401, 402, 403, 404, 405, 406, 9_001, 9_002)
UNKEYED_RATIO = 0.3
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


class Traffic(threading.Thread):
    """Sends movements at a rate until it is told to stop."""

    def __init__(self, topic, seed, rate, is_keyed=False):
        super().__init__(daemon=True, name="traffic")
        self.topic, self.rate = topic, rate
        self.unkeyed_ratio = 0.0 if is_keyed else UNKEYED_RATIO
        self.rng = random.Random(seed)
        self.homes = topic.partitions
        self.number = 0
        self.bad_due = 0
        self.stopping = threading.Event()

    def run(self):
        begun = time.monotonic()
        while not self.stopping.wait(TICK_SECONDS):
            due = int((time.monotonic() - begun) * self.rate)
            while self.number < due and not self.stopping.is_set():
                self.send()
            self.topic.producer.poll(0)

    def stop(self):
        self.stopping.set()
        self.join()
        self.topic.flush()

    def send(self):
        movement = self.movement()
        if movement["customer"] in UNKEYED:
            partition, key = self.rng.randrange(self.topic.partitions), None
        else:
            partition, key = movement["customer"] % self.homes, str(movement["customer"]).encode()
        is_bad = self.rng.random() < BAD_RATIO or self.bad_due > 0
        self.bad_due = max(0, self.bad_due - is_bad)
        payload = self.spoilt(movement) if is_bad else customer_movement(movement)
        self.topic.send(payload, partition=partition, key=key)

    def movement(self):
        rng = self.rng
        customer = rng.choice(UNKEYED) if rng.random() < self.unkeyed_ratio else rng.choice(KEYED)
        self.number += 1
        return random_movement(rng, customer, self.number)

    def spoilt(self, movement):
        """The bytes of a message that becomes a dead letter."""
        match self.rng.randrange(6):
            case 0:
                return customer_movement(movement) + b"\0"
            case 1:
                return customer_movement(movement)[:-3]
            case 2:
                return None
            case 3:
                return customer_movement({**movement, "operation_value": float("nan")})
            case 4:
                return customer_movement({**movement, "agency": LONG_AGENCY})
            case _:
                return customer_movement({**movement, "agency": REFUSED_AGENCY})
