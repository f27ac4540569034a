"""Which faults a run injects, and when: a function of the seed alone. Only the timing of what they meet is chance."""

import random
from dataclasses import dataclass

# How often a kind stands in one deck, and how long such a fault lasts, in seconds. All decks are dealt to their end, so
# every kind occurs in any run that is long enough for one.
DECK = {
    "kill": (4, (0.0, 2.0)),
    "terminate": (2, (0.0, 2.0)),
    # A session ends after 6 s: some wake before, some after.
    "freeze": (3, (0.5, 12.0)),
    "freeze-in-transaction": (1, (2.0, 12.0)),
    "come-and-go": (2, (2.0, 10.0)),
    "cut-connections": (4, (0.0, 0.0)),
    "lose-answer": (4, (0.0, 0.0)),
    # MySQL waits 5 s for a row's lock.
    "hold-locks": (2, (0.5, 8.0)),
    "bad-messages": (2, (0.0, 0.0)),
    "mysql-kill": (1, (0.0, 3.0)),
    "mysql-stop": (1, (0.0, 3.0)),
    "kafka-kill": (1, (0.0, 4.0)),
    "kafka-stop": (1, (0.0, 4.0)),
    "add-partition": (1, (0.0, 0.0)),
}
MEAN_GAP_SECONDS = 1.5


@dataclass(frozen=True)
class Fault:
    """One fault: `at` and `seconds` long, and a number that picks what it hits."""

    at: float
    kind: str
    seconds: float
    which: int


def plan(seed, seconds):
    """The faults of a run of so many seconds, in order."""
    rng = random.Random(seed)
    faults, deck, at = [], [], 0.0
    while True:
        at += rng.expovariate(1 / MEAN_GAP_SECONDS)
        if at >= seconds:
            return faults
        if not deck:
            deck = [kind for kind, (count, _) in DECK.items() for _ in range(count)]
            rng.shuffle(deck)
        kind = deck.pop()
        _, (shortest, longest) = DECK[kind]
        faults.append(Fault(round(at, 2), kind, round(rng.uniform(shortest, longest), 2), rng.randrange(1 << 16)))
