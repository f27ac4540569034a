"""The command line of `scripts/chaos`."""

import argparse
import os
import re
import sys
import tempfile

from chaos.plan import DECK


def seconds(text):
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m)?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a time such as 120s or 10m")
    return float(found[1]) * (60 if found[2] == "m" else 1)


def kinds(text):
    found = tuple(text.split(","))
    unknown = [kind for kind in found if kind not in DECK]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}; there are {', '.join(DECK)}")
    return found


def main():
    parser = argparse.ArgumentParser(
        prog="scripts/chaos",
        description="Runs the shipped job on real servers while everything goes wrong, and compares every row of every"
        " output, the dead letters and all state with a calculation of its own. Exit code 1 if something differs,"
        " an instance ends by itself, or not everything is committed in the end.",
        epilog="The faults and their times follow from the seed, and so do the framing of the messages, the `ttl` of state"
        " and whether instances have names; what the faults meet is chance. What was really done is printed. If something"
        f" differs, the topic, the database and the folder stay. Faults: {', '.join(DECK)}.",
    )
    parser.add_argument("--seed", type=int, required=True, help="chooses faults and messages")
    parser.add_argument("--for", dest="seconds", type=seconds, default=120.0, metavar="120s", help="how long")
    parser.add_argument("--instances", type=int, default=3, metavar="3", help="how many instances of the job")
    parser.add_argument("--rate", type=int, default=400, metavar="400", help="messages sent a second")
    parser.add_argument("--lanes", type=int, default=1, metavar="1", help="write connections of each instance")
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument(
        "--keyed",
        dest="keys",
        action="store_const",
        const="customer",
        help="messages are keyed by customer; in half of the runs, state follows the partitions",
    )
    keys.add_argument(
        "--unkeyed",
        dest="keys",
        action="store_const",
        const="none",
        help="every customer's messages come by all partitions, so instances meet over all state"
        " (default: a third of the messages does so; with several lanes: keyed)",
    )
    parser.add_argument(
        "--registry",
        action="store_true",
        help="writers get a new schema every few messages, from a registry that fails at random",
    )
    parser.add_argument(
        "--faults", type=kinds, default=tuple(DECK), metavar="KIND,...", help="only these (default: all of them)"
    )
    arguments = parser.parse_args()
    # Why here: these import what has to be installed, and `--help` needs nothing.
    from chaos.run import Options, Run, Servers  # noqa: PLC0415

    missing = [name for name in Servers.REQUIRED if not os.environ.get(name)]
    if missing:
        parser.error(f"{', '.join(missing)} not set (hint: run scripts/chaos, which sets them)")
    keys = arguments.keys or ("customer" if arguments.lanes > 1 else "mixed")
    if arguments.lanes > 1 and keys == "none":
        parser.error("with several lanes, state follows the partitions: --unkeyed does not go with --lanes")
    options = Options(
        arguments.seed,
        arguments.seconds,
        arguments.instances,
        arguments.rate,
        arguments.lanes,
        keys,
        arguments.faults,
        arguments.registry,
    )
    folder = tempfile.mkdtemp(prefix="chaos-")
    wrong = Run(options, Servers.of_environment(), folder)()
    for line in wrong:
        print(line)
    return 1 if wrong else 0


sys.exit(main())
