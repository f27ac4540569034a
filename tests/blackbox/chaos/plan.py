"""Which faults a run injects, and when: a function of the seed alone. Only the timing of what they meet is chance."""

import random
from dataclasses import dataclass

# How often a kind is in one deck, and how long such a fault lasts, in seconds. All decks are dealt to their end, so every
# kind occurs in any run that is long enough for one.
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
    # Longer than the group needs for two rebalances.
    "stall-one": (2, (12.0, 25.0)),
    "stall-all": (1, (8.0, 20.0)),
    "mysql-kill": (1, (0.0, 3.0)),
    "mysql-stop": (1, (0.0, 3.0)),
    # How late the replica is afterwards.
    "switch-over": (1, (0.0, 3.0)),
    "fail-over": (1, (1.0, 4.0)),
    "kafka-kill": (1, (0.0, 4.0)),
    "kafka-stop": (1, (0.0, 4.0)),
    "add-partition": (1, (0.0, 0.0)),
    "bad-messages": (2, (0.0, 0.0)),
    "hostile-messages": (3, (0.0, 0.0)),
    "large-headers": (1, (0.0, 0.0)),
    "transactions": (3, (1.0, 6.0)),
    "open-transaction": (1, (1.0, 12.0)),
    "retention": (3, (0.0, 0.0)),
}
MEAN_GAP_SECONDS = 1.5


@dataclass(frozen=True)
class Fault:
    """One fault: `at` and `seconds` long, and a number that picks what it hits."""

    at: float
    kind: str
    seconds: float
    which: int


def plan(seed, seconds, kinds=tuple(DECK)):
    """The faults of a run of this length, in order: those of these kinds."""
    rng = random.Random(seed)
    faults, deck, at = [], [], 0.0
    while True:
        at += rng.expovariate(1 / MEAN_GAP_SECONDS)
        if at >= seconds:
            return faults
        if not deck:
            deck = [kind for kind, (count, _) in DECK.items() for _ in range(count) if kind in kinds]
            rng.shuffle(deck)
        kind = deck.pop()
        _, (shortest, longest) = DECK[kind]
        faults.append(Fault(round(at, 2), kind, round(rng.uniform(shortest, longest), 2), rng.randrange(1 << 16)))
