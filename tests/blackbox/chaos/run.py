"""One run: instances, traffic and faults for a while; then quiet, until all is committed; then the comparison."""

import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass

from chaos.faults import Faults
from chaos.fleet import Fleet
from chaos.plan import plan
from chaos.traffic import Traffic
from harness import Database, Job, Services, Topic, unique
from ledger import Ledger, audited_job, read_topic, topic_size
from proxy import CommitCutter

PARTITIONS = 4
FAULTS_SECONDS_MAX = 240
# After the last fault: sessions end, the frozen wake, what is left is worked off.
QUIET_SECONDS_MAX = 240


@dataclass(frozen=True)
class Options:
    seed: int
    seconds: float
    instances: int = 3
    rate: int = 400
    lanes: int = 1


@dataclass(frozen=True)
class Servers:
    binary: str
    kafka: str
    mysql_url: str
    mysql_admin_url: str


class Run:
    def __init__(self, options, servers, folder, write=print):
        self.options, self.servers, self.folder, self.write = options, servers, folder, write
        self.begun = time.monotonic()
        self.saying = threading.Lock()

    def say(self, text):
        with self.saying:
            self.write(f"{time.monotonic() - self.begun:7.2f} s  {text}", flush=True)

    def __call__(self):
        """Runs, and gives what is wrong, as lines of text; none where everything is as it must be."""
        options, servers = self.options, self.servers
        faults = plan(options.seed, options.seconds)
        has_names = random.Random(options.seed).random() < 0.5
        self.write(
            f"chaos: seed {options.seed}, {options.seconds:g} s, {options.instances} instances of {options.lanes} lanes "
            f"{'with' if has_names else 'without'} names, {options.rate} messages/s, {len(faults)} faults planned"
        )
        # An idempotent producer may give up for good when a broker is killed; what counts is what the topic has.
        topic = Topic(servers.kafka, unique("chaos"), PARTITIONS, idempotent=False)
        database = Database(servers.mysql_url, unique("realtime_chaos"))
        database.create()
        job = audited_job(lambda topic: Job(servers.binary, self.folder, topic, database), topic, lanes=options.lanes)
        self.write(f"chaos: topic {topic.name}, database {database.name}, folder {self.folder}")
        try:
            wrong = self._run(faults, has_names, topic, database, job)
        finally:
            job.end_all()
        if not wrong:
            database.drop()
            topic.delete()
        return wrong

    def _run(self, faults, has_names, topic, database, job):
        options = self.options
        with CommitCutter(database.server_url, commits_between_cuts=None) as proxy:
            fleet = Fleet(job, options.instances, options.lanes, proxy, has_names, self.say)
            # State of several lanes follows the partitions, so customers have to.
            traffic = Traffic(topic, options.seed, options.rate, is_keyed=options.lanes > 1)
            self.begun = time.monotonic()
            fleet.start()
            traffic.start()
            injected = Faults(
                fleet, topic, traffic, database, self.servers.mysql_admin_url, proxy, Services(), self.say
            )
            for fault in faults:
                time.sleep(max(0.0, self.begun + fault.at - time.monotonic()))
                injected.inject(fault)
            time.sleep(max(0.0, self.begun + options.seconds - time.monotonic()))
            injected.join(FAULTS_SECONDS_MAX)
            traffic.stop()
            sent = topic_size(self.servers.kafka, topic.name)
            self.say(f"no more faults; the topic has {sent} messages")
            wrong = self._settle(fleet, sent, database, job)
            fleet.stop()
            self._sum_up(injected, fleet, proxy, job)
        messages, ends = read_topic(self.servers.kafka, topic.name)
        ledger = Ledger(messages, ends)
        wrong += ledger.compare(database, job.name)
        self.write(
            f"compared: {len(ledger.movements)} movements, {len(ledger.dead)} dead letters, all rows of four tables and "
            f"all state: {'they differ' if wrong else 'equal'}"
        )
        return wrong + fleet.unexpected

    def _settle(self, fleet, sent, database, job):
        """Waits until everything that was sent is committed."""
        begun = time.monotonic()
        while (committed := database.committed(job.name)) < sent:
            if fleet.unexpected or time.monotonic() - begun > QUIET_SECONDS_MAX:
                tails = [f"{i}: {i.process.stderr_text()[-1500:]}" for i in fleet.living()]
                return [
                    f"{committed} of {sent} messages were committed, {QUIET_SECONDS_MAX} s after the last fault",
                    *tails,
                ]
            time.sleep(0.1)
        self.say(f"all are committed, {time.monotonic() - begun:.1f} s later")
        return []

    def _sum_up(self, injected, fleet, proxy, job):
        done = Counter(fault.kind for fault in injected.done)
        self.write(f"faults injected: {', '.join(f'{kind} {count}' for kind, count in sorted(done.items()))}")
        if injected.not_done:
            self.write(f"not done: {', '.join(fault.kind for fault in injected.not_done)}")
        batches = conflicts = 0
        for number in range(len(job.processes)):
            for line in (job.folder / f"stdout-{number}.log").read_text(encoding="utf-8").splitlines():
                try:
                    conflicts += json.loads(line)["conflicts"]
                    batches += 1
                except json.JSONDecodeError:
                    # The last line of an instance that was killed.
                    pass
        self.write(
            f"{fleet.started} instances started; {batches} batches, {conflicts} conflicts over state; "
            f"{proxy.cuts_before} COMMITs cut before and {proxy.cuts_after} after they were passed on"
        )
