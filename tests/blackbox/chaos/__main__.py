"""The command line of `scripts/chaos`."""

import argparse
import os
import re
import sys
import tempfile

from chaos.run import Options, Run, Servers


def seconds(text):
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m)?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a time such as 120s or 10m")
    return float(found[1]) * (60 if found[2] == "m" else 1)


def main():
    parser = argparse.ArgumentParser(
        prog="scripts/chaos",
        description="Runs the shipped job on real servers while everything goes wrong, and compares every row of every"
        " output, the dead letters and all state with a calculation of its own. Exit code 1 where something differs.",
        epilog="The faults and their times follow from the seed; what they meet is chance. What was really done is"
        " printed. Where something differs, the topic, the database and the folder stay.",
    )
    parser.add_argument("--seed", type=int, required=True, help="chooses faults and messages")
    parser.add_argument("--for", dest="seconds", type=seconds, default=120.0, metavar="120s", help="how long")
    parser.add_argument("--instances", type=int, default=3, metavar="3", help="how many instances of the job")
    parser.add_argument("--rate", type=int, default=400, metavar="400", help="messages sent a second")
    parser.add_argument("--lanes", type=int, default=1, metavar="1", help="write connections of each instance")
    arguments = parser.parse_args()
    environment = ("REALTIME_PROCESSOR", "KAFKA_SERVER", "MYSQL_URL", "MYSQL_ADMIN_URL")
    missing = [name for name in environment if not os.environ.get(name)]
    if missing:
        parser.error(f"{', '.join(missing)} not set (hint: run scripts/chaos, which sets them)")
    options = Options(arguments.seed, arguments.seconds, arguments.instances, arguments.rate, arguments.lanes)
    folder = tempfile.mkdtemp(prefix="chaos-")
    wrong = Run(options, Servers(*(os.environ[name] for name in environment)), folder)()
    for line in wrong:
        print(line)
    return 1 if wrong else 0


sys.exit(main())
