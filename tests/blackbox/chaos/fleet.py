"""The instances of the job, and who starts them again: as many run as are wanted, whatever ended the others.

Each has a slot with a configuration of its own: every other one reaches the database through the proxy that cuts
connections at COMMIT, and in a run with names the slot's number is the instance's name.
"""

import re
import signal
import threading
import time

from harness import Database, local_ports
from ledger import audited_config

# A batch is small, so that a run has many.
BATCH_ROWS_MAX = 200
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

    def __init__(self, job, wanted, lanes, proxy, has_names, say):
        super().__init__(daemon=True, name="fleet")
        self.job, self.wanted, self.lanes, self.proxy = job, wanted, lanes, proxy
        self.has_names, self.say = has_names, say
        self.instances = []
        self.started = 0
        # Instances that ended and were not told to.
        self.unexpected = []
        self.lock = threading.RLock()
        self.stopping = threading.Event()
        self.start_after = 0.0

    def run(self):
        while not self.stopping.wait(SUPERVISE_SECONDS):
            with self.lock:
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

    def of_port(self, port):
        """The instance with a connection from this local port, or None."""
        return next((i for i in self.living() if port in local_ports(i.process.pid)), None)

    def stop(self):
        """Ends all in good order."""
        self.stopping.set()
        self.join()
        for instance in self.instances:
            self.tell(instance, "terminated", signal.SIGTERM)
        for instance in self.instances:
            instance.process.wait(TERMINATE_SECONDS_MAX)
        self._reap()

    def _start(self):
        taken = {instance.slot for instance in self.instances}
        slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)
        config = f"config-{slot}.yaml"
        self.job.write(config, self._config(slot))
        process = self.job.start("--progress", "json", config=config)
        self.instances.append(Instance(self.started, slot, process))
        self.started += 1

    def _config(self, slot):
        changes = {"batch_rows_max": BATCH_ROWS_MAX, "dead_letters_max_ratio": 1}
        if self.has_names:
            changes["instance"] = f"slot-{slot}"
        if slot % 2:
            changes["database"] = Database(self.proxy.url, self.job.database.name).url
        return audited_config(self.job, lanes=self.lanes, **changes)

    def _reap(self):
        for instance in [i for i in self.instances if not i.is_living]:
            self.instances.remove(instance)
            code = instance.process.returncode
            if self._is_expected(instance, code):
                continue
            self.start_after = time.monotonic() + RESTART_SECONDS
            text = instance.process.stderr_text()[-2000:]
            # While it starts, a server that is away ends it (Kafka may have answered before the database), and one that
            # was frozen is shut out by the one that took its name; whoever runs it starts it again.
            is_told = re.search(r"^error: (the database .* cannot be reached|Kafka has shut this instance out)", text, re.M)
            if code != 1 or (instance.has_joined and not is_told):
                self.unexpected.append(f"{instance} ended by itself with exit code {code}:\n{text}")
            self.say(f"{instance} ended with exit code {code}: {text.strip().splitlines()[-1:]}")

    @staticmethod
    def _is_expected(instance, code):
        match instance.told:
            case "killed":
                return code == -signal.SIGKILL
            # It gives up after a while where a server is away; told before it listens, it ends by the signal.
            case "terminated":
                return code in (0, -signal.SIGTERM) or "was told to stop" in instance.process.stderr_text()
        return False
