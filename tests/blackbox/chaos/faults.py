"""Injects the faults of a plan, each in a thread of its own, and reports what was done. What could not be done, because its
victim was away, is reported too."""

import threading
import time

import pymysql
from confluent_kafka import KafkaException

from chaos.on_database import ON_DATABASE
from chaos.on_instances import ON_INSTANCES
from chaos.on_kafka import ON_KAFKA
from chaos.world import NotDone

# Each kind as a function of the world and the fault, which returns what was done, as text.
KINDS = {**ON_INSTANCES, **ON_DATABASE, **ON_KAFKA}


class Faults:
    def __init__(self, world, say):
        self.world, self.say = world, say
        self.threads = []
        self.done, self.not_done, self.broken = [], [], []

    def inject(self, fault):
        thread = threading.Thread(target=self._inject, args=(fault,), daemon=True, name=fault.kind)
        self.threads.append(thread)
        thread.start()

    def join(self, seconds):
        """Waits until all that was done is undone."""
        deadline = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0, deadline - time.monotonic()))
            assert not thread.is_alive(), f"the fault {thread.name} does not end"

    def _inject(self, fault):
        try:
            what = KINDS[fault.kind](self.world, fault)
        except (NotDone, pymysql.Error, KafkaException, OSError) as error:
            self.not_done.append(fault)
            self.say(f"{fault.kind}: not done: {error}")
        except Exception as error:
            # A fault that is wrong itself must not go unnoticed.
            self.broken.append(f"the fault {fault} has failed: {error!r}")
            self.say(self.broken[-1])
        else:
            self.done.append(fault)
            self.say(f"{fault.kind}: {what}")
