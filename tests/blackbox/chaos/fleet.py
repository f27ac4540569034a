"""The instances of the job, and who starts them again: as many run as are wanted, whatever ended the others.

Each has a slot with a configuration of its own. It reaches the database through a proxy of its own, and in a run with names
the slot's number is the instance's name.
"""

import re
import signal
import threading
import time

from harness import Database, Resident
from ledger import audited_config
from proxy import CommitCutter
from watched import free_port

SUPERVISE_SECONDS = 0.1
# After an instance ended by itself.
RESTART_SECONDS = 0.5
TERMINATE_SECONDS_MAX = 60


class Instance:
    def __init__(self, number, slot, process):
        self.number, self.slot, self.process = number, slot, process
        self.is_frozen = False
        # What it was told: "killed", "terminated".
        self.told = None
        self.memory = Resident(process)

    def __str__(self):
        return f"instance {self.number} (process {self.process.pid})"

    @property
    def is_living(self):
        return self.process.poll() is None

    @property
    def has_joined(self):
        return "assigned:" in self.process.stderr_text()

    def signal(self, sign):
        try:
            self.process.send_signal(sign)
        except ProcessLookupError:
            pass


class Fleet(threading.Thread):
    """Keeps `wanted` instances running until it is stopped."""

    def __init__(self, job, wanted, has_names, config, say):
        super().__init__(daemon=True, name="fleet")
        self.job, self.wanted = job, wanted
        self.has_names, self.config, self.say = has_names, config, say
        self.instances = []
        # By slot. The database's address moves with them.
        self.proxies = {}
        # Where its metrics are, by slot.
        self.ports = {}
        self.started = 0
        self.peak_mib = 0
        # Instances that ended and were not told to.
        self.unexpected = []
        self.lock = threading.RLock()
        self.stopping = threading.Event()
        self.start_after = 0.0

    def run(self):
        while not self.stopping.wait(SUPERVISE_SECONDS):
            with self.lock:
                for instance in self.instances:
                    instance.memory.sample()
                    self.peak_mib = max(self.peak_mib, instance.memory.peak_mib)
                self._reap()
                while len(self.instances) < self.wanted and time.monotonic() >= self.start_after:
                    self._start()

    def living(self):
        with self.lock:
            return [instance for instance in self.instances if instance.is_living]

    def pick(self, which, usable=lambda _: True):
        """One of the instances that can be used for something, or None."""
        found = [instance for instance in self.living() if usable(instance)]
        return found[which % len(found)] if found else None

    def want(self, more):
        with self.lock:
            self.wanted += more

    def tell(self, instance, told, sign):
        with self.lock:
            instance.told = told
            instance.signal(sign)

    def proxy_of(self, instance):
        return self.proxies[instance.slot]

    def metrics_ports(self):
        """Where the metrics of the living instances are."""
        return [self.ports[instance.slot] for instance in self.living()]

    def all_proxies(self):
        with self.lock:
            return list(self.proxies.values())

    def of_port(self, port):
        """The instance whose connection reaches the database from this port, or None."""
        return next((i for i in self.living() if port in self.proxy_of(i).server_side_ports()), None)

    def stop(self):
        """Ends all in good order."""
        self.stopping.set()
        self.join()
        for instance in self.instances:
            self.tell(instance, "terminated", signal.SIGTERM)
        for instance in self.instances:
            instance.process.wait(TERMINATE_SECONDS_MAX)
        self._reap()
        for proxy in self.all_proxies():
            proxy.__exit__()

    def _start(self):
        taken = {instance.slot for instance in self.instances}
        slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)
        if slot not in self.proxies:
            self.proxies[slot] = CommitCutter(self.job.database.server_url, commits_between_cuts=None).__enter__()
        config = f"config-{slot}.yaml"
        self.job.write(config, self._config(slot))
        process = self.job.start("--progress", "json", config=config)
        self.instances.append(Instance(self.started, slot, process))
        self.started += 1

    def _config(self, slot):
        port = self.ports.setdefault(slot, free_port())
        changes = {**self.config, "database": Database(self.proxies[slot].url, self.job.database.name).url}
        changes["http"] = f"127.0.0.1:{port}"
        if self.has_names:
            changes["instance"] = f"slot-{slot}"
        return audited_config(self.job, **changes)

    def _reap(self):
        for instance in [i for i in self.instances if not i.is_living]:
            self.instances.remove(instance)
            code = instance.process.returncode
            if self._is_expected(instance, code):
                continue
            self.start_after = time.monotonic() + RESTART_SECONDS
            text = instance.process.stderr_text()[-2000:]
            # While it starts, a server that is away ends it (Kafka may have answered before the database), and one that
            # was frozen is shut out by the one that took its name: it is started again.
            is_told = re.search(
                r"^error: (the database .* cannot be reached|Kafka has shut this instance out)", text, re.M
            )
            if code != 1 or (instance.has_joined and not is_told):
                self.unexpected.append(f"{instance} ended by itself with exit code {code}:\n{text}")
            self.say(f"{instance} ended with exit code {code}: {text.strip().splitlines()[-1:]}")

    @staticmethod
    def _is_expected(instance, code):
        match instance.told:
            case "killed":
                return code == -signal.SIGKILL
            # It gives up after a while if a server is away; told before it listens, it ends by the signal.
            case "terminated":
                return code in (0, -signal.SIGTERM) or "was stopped while the server was unreachable" in instance.process.stderr_text()
        return False
