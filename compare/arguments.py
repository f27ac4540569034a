"""The command line of `scripts/compare`. Nothing that has to be installed is imported here: `--help` needs nothing."""

import argparse
import os
from pathlib import Path

from compare.words import DEFAULT, WORDS

MESSAGES = 2_000_000
QUICK_MESSAGES = 200_000
ENVIRONMENT = ("REALTIME_PROCESSOR", "KAFKA_SERVER", "MYSQL_URL", "SERVICES_DIR")


def parse():
    parser = argparse.ArgumentParser(
        prog="scripts/compare",
        description="Runs this program and Spark in turn over the same topic into the same tables, checks that they"
        " write the same rows, and prints how they compare, with LOAD DATA of MySQL's own client as the limit.",
        epilog=f"WORD is one of: {', '.join(WORDS)}. Without --only: {', '.join(DEFAULT)}.",
    )
    parser.add_argument("--seed", type=int, default=1, help="what the messages follow from (default 1)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each measurement (default 3)")
    parser.add_argument("--messages", type=int, default=MESSAGES, help=f"in the topic (default {MESSAGES:,})")
    parser.add_argument(
        "--only", nargs="+", metavar="WORD", choices=list(WORDS), help="these measurements alone"
    )
    parser.add_argument("--without-spark", action="store_true", help="this program and LOAD DATA alone")
    parser.add_argument("--quick", action="store_true", help="few messages, one run: shows that it works, no result")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="of what is printed")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the table as markdown, too")
    options = parser.parse_args()
    missing = [name for name in ENVIRONMENT if not os.environ.get(name)]
    if missing:
        parser.error(f"{', '.join(missing)} not set (hint: run scripts/compare, which sets them)")
    if options.quick:
        options.runs, options.messages = 1, min(options.messages, QUICK_MESSAGES)
    return options
