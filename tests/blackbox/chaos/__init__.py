"""Everything that can go wrong, at once: a seeded run against real servers, compared at its end with a calculation
of its own, row by row. `scripts/chaos --help` says how to start it."""
