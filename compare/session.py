"""One run of the comparison: brings the programs together, measures, and shows the figures."""

import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from compare import machine, report, spark
from compare.bench import Bench
from compare.load_data import Client
from compare.measure import LATENCY_SECONDS, measure
from compare.ours import Ours
from compare.processes import Children
from compare.run import Failed
from compare.tables import Tables
from compare.words import DEFAULT

QUICK_LATENCY_SECONDS = 5
DOUBLINGS, QUICK_DOUBLINGS = 10, 3


def say(text):
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def compare(options, folder, children):
    """The figures, and what they were measured on."""
    tables = Tables(os.environ["MYSQL_URL"], os.environ.get("MYSQL_ADMIN_URL"))
    tables.make()
    try:
        bench = made(options, folder, children, tables)
        measure(bench, options.only or DEFAULT)
        return bench.figures, machine.facts(bench)
    finally:
        children.end_all()
        tables.close()


def made(options, folder, children, tables):
    """The bench with the programs that take part."""
    kafka, services = os.environ["KAFKA_SERVER"], Path(os.environ["SERVICES_DIR"])
    binary, database = os.environ["REALTIME_PROCESSOR"], tables.database
    ours = Ours(binary, kafka, database, options.seed, folder / "ours", children)
    bench = Bench(
        kafka=kafka,
        tables=tables,
        children=children,
        seed=options.seed,
        messages=options.messages,
        runs=options.runs,
        latency_seconds=QUICK_LATENCY_SECONDS if options.quick else LATENCY_SECONDS,
        doublings=QUICK_DOUBLINGS if options.quick else DOUBLINGS,
        folder=folder,
        client=Client(database, services),
        say=say,
        sides={"ours": ours},
    )
    if not options.without_spark:
        home = spark.install(services, say)
        bench.sides["spark"] = spark.Spark(
            home, kafka, database, ours.accounts, folder / "spark", children, options.messages
        )
    return bench


def show(options, figures, facts):
    if options.quick:
        facts.insert(0, "Quick: few messages and one run. This is no result.")
    if options.out:
        options.out.write_text(report.markdown(figures, facts), encoding="utf-8")
    print((report.as_json if options.format == "json" else report.text)(figures, facts), end="")


def told_to_end(*_):
    say("told to end: nothing is shown of what was measured")
    sys.exit(143)


def main(options):
    signal.signal(signal.SIGTERM, told_to_end)
    children = Children()
    folder = Path(tempfile.mkdtemp(prefix="compare-"))
    try:
        figures, facts = compare(options, folder, children)
    except Failed as failure:
        sys.exit(f"compare: error: {failure}")
    except KeyboardInterrupt:
        say("interrupted: nothing is shown of what was measured")
        sys.exit(130)
    finally:
        children.end_all()
        shutil.rmtree(folder, ignore_errors=True)
    show(options, figures, facts)
