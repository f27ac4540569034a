"""The command line; see `scripts/differential --help`."""

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from .queries import CATEGORIES

HERE = Path(__file__).parent
EXAMPLES = """
examples:
  scripts/differential --seed 7 --queries 10000      10,000 queries over the tables of seed 7
  scripts/differential --seeds 1..10 --queries 10000 the same for ten seeds
  scripts/differential --only windows --queries 500  queries with windows
  scripts/differential --repeat 7:1234               one query again, made small
  scripts/differential --cuts --queries 200          queries as views of a job, messages cut in every way
  scripts/differential --collection                  the fixed queries, by category

Exit codes: 0 nothing differs that is not listed (tests/differential/known.toml); 1 something does; 2 bad command line.
"""


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/differential",
        description="Random SQL from a seed, answered by this program, DuckDB and PostgreSQL, and compared as multisets.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the seed of tables and queries (default 1)")
    parser.add_argument("--seeds", type=seeds, metavar="A..B", help="several seeds, in place of --seed")
    parser.add_argument("--queries", type=int, default=1000, metavar="N", help="queries for each seed (default 1000)")
    parser.add_argument("--only", metavar="CATEGORY", help=f"one of {', '.join(CATEGORIES)}")
    parser.add_argument("--repeat", type=place, metavar="SEED:NUMBER", help="one query again, made small")
    parser.add_argument("--refusals", action="store_true", help="make a query of each form that is refused small")
    parser.add_argument(
        "--cuts", action="store_true", help="queries as views of a job, their messages cut in every way"
    )
    parser.add_argument(
        "--collection", action="store_true", help="the fixed queries; --only takes the name of a file too"
    )
    parser.add_argument(
        "--update", action="store_true", help="with --collection: write the rows that the other engines agree on"
    )
    parser.add_argument("--without-postgres", action="store_true", help="compare with DuckDB alone")
    parser.add_argument(
        "--postgres-port", type=int, metavar="PORT", help="where PostgreSQL listens (default: a free port)"
    )
    parser.add_argument(
        "--jobs", type=int, default=len(os.sched_getaffinity(0)), metavar="N", help="processes (default: processors)"
    )
    parser.add_argument(
        "--known", type=Path, default=HERE / "known.toml", metavar="FILE", help="another list of known differences"
    )
    given = parser.parse_args()
    known_categories = [file.stem for file in (HERE / "collection").glob("*.sql")] if given.collection else CATEGORIES
    if given.only and given.only not in known_categories:
        parser.error(f"--only {given.only}: expected one of {', '.join(sorted(known_categories))}")
    return given


def seeds(text):
    first, _, last = text.partition("..")
    return range(int(first), int(last or first) + 1)


def place(text):
    seed, _, number = text.partition(":")
    return int(seed), int(number)


def fixed(collection, binary, only):
    """Runs the collection."""
    faults, refused, wrong = collection.check(binary, only)
    print("\n".join(faults))
    for entry in wrong:
        print(f"known to be wrong: {entry.file.name}: {entry.name}: {entry.fault}")
    print(
        f"{len(collection.entries(only))} queries, {len(refused)} refused as they may be, "
        f"{len(wrong)} known to be wrong, {len(faults)} wrong"
    )
    return 1 if faults else 0


def main():
    given = arguments()
    # Why here: `--help` needs none of the packages that these do.
    from . import collection, cuts, run  # noqa: PLC0415
    from .server import Missing, Server  # noqa: PLC0415

    # What was started is ended then too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    binary = os.environ["REALTIME_PROCESSOR"]
    if given.collection and not given.update:
        return fixed(collection, binary, given.only)
    services = os.environ.get("SERVICES_DIR")
    try:
        with (
            tempfile.TemporaryDirectory(prefix="differential-", dir=services, ignore_cleanup_errors=True) as folder,
            reachable(folder),
            contextlib.nullcontext() if given.without_postgres else Server(folder, given.postgres_port) as address,
        ):
            home = Path(folder)
            if given.update:
                faults = collection.update(address, given.only)
                print("\n".join(faults))
                return 1 if faults else 0
            options = run.Options(binary, home, address, given.queries, given.only, given.known)
            if given.repeat:
                return 0 if run.repeat(options, *given.repeat) else 1
            started = time.monotonic()
            every = given.seeds or [given.seed]
            if given.cuts:
                tallies = {seed: cuts.run(options, seed) for seed in every}
                for tally in tallies.values():
                    print("\n".join(run.told(one) for one in tally.differences if not one.known))
            else:
                tallies = run.run(options, every, given.jobs)
            seconds = time.monotonic() - started
            examples = [run.small_refusals(options)] if given.refusals else []
            return 0 if run.report(tallies, seconds, *examples) else 1
    except Missing as missing:
        print(f"differential: {missing}", file=sys.stderr)
        return 1


@contextlib.contextmanager
def reachable(folder):
    """PostgreSQL's user, who is not root, gets into the folder."""
    Path(folder).chmod(0o755)
    yield


def ended():
    """The exit code, whatever ended the run."""
    try:
        return main()
    except SystemExit as end:
        return end.code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception:
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    code = ended()
    sys.stdout.flush()
    sys.stderr.flush()
    # Why not `sys.exit`: at the end of an interrupted run it waits for processes that are gone.
    os._exit(code or 0)
