"""The measurements, each a function that adds figures to the bench."""

import json
import time

from compare.growth import measure_accounts, measure_keys, measure_linear
from compare.latency import BUSY, CALM, QUANTILES, latency
from compare.load_data import LoadData
from compare.ours import Project
from compare.processes import cpu_seconds
from compare.registry import measure_registry
from compare.run import START_POLL_SECONDS, Failed, Watch, catch_up, until_seen
from compare.tables import TABLE
from compare.words import WORDS

LANES = 2
# Of Spark's batches into nothing, those up to here are its warm-up.
WARM_UP_RATIO = 0.25
OFFSETS_POLL_SECONDS = 0.01
LATENCY_SECONDS = 30
IDLE_SECONDS = 10
IDLE_AFTER_SECONDS = 3


def measure_catch_up(bench, words):
    """All messages into MySQL: both programs, this one with lanes and with state, and LOAD DATA as the limit."""
    topic = bench.seeded(bench.messages)
    variants = {side: (side, Project()) for side in bench.sides} if "catch-up" in words else {}
    if "lanes" in words:
        lanes = Project(config={"write_connections": LANES})
        refusal = bench.sides["ours"].project(topic, lanes).refusal()
        if refusal and "write_connections" in refusal:
            bench.say("lanes: this program does not know `write_connections` yet; left out")
        else:
            variants["lanes"] = ("ours", lanes)
    if "state" in words:
        variants["state"] = ("ours", Project(has_state=True))
    variants = {"warm-up": ("ours", Project()), **variants}
    limit = None
    try:
        if "load-data" in words:
            limit = exported(bench, topic)
            variants["load_data"] = ("load_data", limit)
            del variants["warm-up"]
        one_by_one(bench, topic, variants)
    finally:
        if limit:
            limit.remove()


def exported(bench, topic):
    """The files for LOAD DATA, of the transactions that a run of this program made."""
    bench.say("a run whose transactions LOAD DATA will have")
    job = bench.sides["ours"].project(topic, Project())
    catch_up(bench, job, topic)
    batches = job.batches(topic)
    rows = sorted(rows for rows, _, _ in batches)
    bench.notes["transactions"] = f"{len(batches)} transactions, {rows[len(rows) // 2]:,} rows at the median"
    limit = LoadData(bench.client, bench.children, bench.folder / "load-data.log")
    limit.export(batches)
    return limit


def one_by_one(bench, topic, variants):
    warm_up = variants.pop("warm-up", None)
    if warm_up:
        bench.say("a run that is not counted")
        catch_up(bench, bench.sides["ours"].project(topic, warm_up[1]), topic)
    for name, (side, what) in bench.rounds(variants):
        if side == "load_data":
            bench.add("load_data.rate", catch_up(bench, what, topic).rate)
            continue
        if what.has_state:
            bench.tables.database.execute("DROP TABLE IF EXISTS account_state")
        job = bench.sides[side].project(topic, what)
        found = catch_up(bench, job, topic)
        job.forget()
        bench.add(f"{name}.rate", found.rate)
        bench.add(f"{name}.rate_with_start", found.rate_with_start)
        bench.add(f"{name}.peak_mib", found.weight.peak_mib)
        bench.add(f"{name}.cpu", found.weight.cpu_seconds / found.rows * 1e6)


def measure_million(bench, _):
    """Half of the full size: a million, from the start of the process to the last row."""
    topic = bench.seeded(bench.messages // 2)
    for name, side in bench.rounds(bench.sides):
        job = side.project(topic, Project())
        bench.add(f"{name}.million", catch_up(bench, job, topic).last_seconds)
        job.forget()


def measure_nothing(bench, _):
    """All messages through the views and nowhere."""
    topic = bench.seeded(bench.messages)
    for name, side in bench.rounds(bench.sides):
        job = side.project(topic, Project(is_into_nothing=True))
        rate = ours_into_nothing if name == "ours" else spark_into_nothing
        bench.add(f"{name}.nothing", rate(bench, job))
        job.forget()


def ours_into_nothing(bench, job):
    """From the first commit of offsets, without its messages, to the last."""
    bench.tables.settle()
    watch = Watch(bench, "offsets", OFFSETS_POLL_SECONDS, job=job.name, total=bench.messages)
    process = job.start()
    until_seen(watch, process, job)
    steps = watch.answer()["steps"]
    bench.children.end(process)
    (first_at, first), (last_at, last) = steps[0], steps[-1]
    return (last - first) / max(1e-9, last_at - first_at)


def spark_into_nothing(bench, job):
    """The messages of all batches after the warm-up, by the time these batches took."""
    process = job.start(bench.messages)
    batches = []
    deadline = time.monotonic() + 600
    while sum(batch["numInputRows"] for batch in batches) < bench.messages:
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failed(f"Spark ended or took too long\n{job.log.read_text(encoding='utf-8')[-3000:]}")
        time.sleep(0.5)
        lines = job.out.read_text(encoding="utf-8").splitlines()
        batches = [json.loads(line) for line in lines if line.endswith("}")]
    bench.children.end(process)
    seen, warm = 0, []
    for batch in batches:
        if seen >= bench.messages * WARM_UP_RATIO and batch["numInputRows"]:
            warm.append(batch)
        seen += batch["numInputRows"]
    took = sum(batch["durationMs"]["triggerExecution"] for batch in warm) / 1000
    return sum(batch["numInputRows"] for batch in warm) / took


def measure_latency(bench, _):
    for name, side in bench.rounds(bench.sides):
        add_latency(bench, name, side, CALM)


def measure_busy(bench, _):
    for name, side in bench.rounds({"ours": bench.sides["ours"]}):
        add_latency(bench, f"busy.{name}", side, BUSY)


def add_latency(bench, name, side, pace):
    found, resolution = latency(bench, side, pace, bench.latency_seconds)
    for quantile in QUANTILES:
        bench.add(f"{name}.{quantile}", found[quantile])
    bench.add(f"{name}.sent_p50", found["sent_p50"])
    bench.add("watch.resolution_ms", resolution[0])
    bench.add("watch.resolution_p99_ms", resolution[1])


def measure_start(bench, _):
    """One message waits and all tables are there: from the start of the process to its row."""
    topic = bench.seeded(1)
    # The program's own tables are made here.
    catch_up(bench, bench.sides["ours"].project(topic, Project()), topic)
    for name, side in bench.rounds(bench.sides):
        job = side.project(topic, Project())
        bench.add(f"{name}.start", catch_up(bench, job, topic, START_POLL_SECONDS).last_seconds)
        job.forget()


def measure_idle(bench, _):
    """Processor time with nothing to do, in percent of one core."""
    topic = bench.seeded(1)
    for name, side in bench.rounds({"ours": bench.sides["ours"]}):
        bench.tables.empty()
        job = side.project(topic, Project())
        watch = Watch(bench, "catch_up", START_POLL_SECONDS, table=TABLE, ends=bench.ends(topic))
        process = job.start()
        until_seen(watch, process, job)
        watch.answer()
        time.sleep(IDLE_AFTER_SECONDS)
        before, begun = cpu_seconds(process.pid), time.monotonic()
        time.sleep(IDLE_SECONDS)
        bench.add(f"{name}.idle", (cpu_seconds(process.pid) - before) / (time.monotonic() - begun) * 100)
        bench.children.end(process)
        job.forget()


# The measurement of each word.
MEASUREMENTS = {
    "start": measure_start,
    "idle": measure_idle,
    "latency": measure_latency,
    "latency-busy": measure_busy,
    "catch-up": measure_catch_up,
    "load-data": measure_catch_up,
    "lanes": measure_catch_up,
    "state": measure_catch_up,
    "million": measure_million,
    "nothing": measure_nothing,
    "accounts": measure_accounts,
    "keys": measure_keys,
    "linear": measure_linear,
    "registry": measure_registry,
}


def measure(bench, words):
    done = set()
    for word in WORDS:
        function = MEASUREMENTS[word]
        if word in words and function not in done:
            done.add(function)
            bench.say(f"== {word}: {(function.__doc__ or '').splitlines()[0] if function.__doc__ else ''}")
            function(bench, words)
