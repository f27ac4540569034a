"""The words of the command line for the measurements, in the order they are made. `DEFAULT` are those of a full comparison."""

WORDS = (
    "start",
    "idle",
    "latency",
    "latency-busy",
    "catch-up",
    "load-data",
    "lanes",
    "state",
    "million",
    "nothing",
    "accounts",
    "keys",
    "linear",
    "registry",
)
# Those that take long, and the one that needs Java.
ONLY_IF_NAMED = ("accounts", "keys", "linear", "registry")
DEFAULT = tuple(word for word in WORDS if word not in ONLY_IF_NAMED)
