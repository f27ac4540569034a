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
)
LONG = ("accounts", "keys", "linear")
DEFAULT = tuple(word for word in WORDS if word not in LONG)
