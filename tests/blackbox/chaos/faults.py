"""The faults, each as it is done to real processes and servers. What could not be done, as its victim was away, is said."""

import random
import signal
import threading
import time

import pymysql
from confluent_kafka import KafkaException
from confluent_kafka.admin import NewPartitions

from chaos.traffic import BURST
from harness import Database, ports_in_transaction

IN_TRANSACTION_SECONDS_MAX = 8
PARTITIONS_MAX = 8


class NotDone(Exception):
    """The fault had nothing to hit."""


class Faults:
    """Does what the plan says, each fault in a thread of its own."""

    def __init__(self, fleet, topic, traffic, database, admin_url, proxy, services, say):
        self.fleet, self.topic, self.traffic, self.database = fleet, topic, traffic, database
        self.proxy, self.services, self.say = proxy, services, say
        self.is_in_charge = services.serves()
        self.admin = Database(admin_url, database.name)
        # One outage of a server at a time.
        self.outages = {"mysql": threading.Lock(), "kafka": threading.Lock()}
        self.threads = []
        self.done, self.not_done = [], []

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
        way = getattr(self, fault.kind.replace("-", "_"))
        try:
            what = way(fault)
        except (NotDone, pymysql.Error, KafkaException) as error:
            self.not_done.append(fault)
            self.say(f"{fault.kind}: not done: {error}")
            return
        self.done.append(fault)
        self.say(f"{fault.kind}: {what}")

    # ---- instances

    def kill(self, fault):
        return self._replace(fault, "killed", signal.SIGKILL)

    def terminate(self, fault):
        return self._replace(fault, "terminated", signal.SIGTERM)

    def _replace(self, fault, told, sign):
        # One that is frozen would only see SIGTERM when it wakes.
        instance = self._pick(fault, lambda i: i.told is None and not (i.is_frozen and told == "terminated"))
        self.fleet.want(-1)
        self.fleet.tell(instance, told, sign)
        time.sleep(fault.seconds)
        self.fleet.want(1)
        return f"{instance}, another one after {fault.seconds} s"

    def freeze(self, fault):
        instance = self._pick(fault, lambda i: i.told is None and not i.is_frozen)
        return self._frozen(instance, fault.seconds)

    def freeze_in_transaction(self, fault):
        """Locks held by another session make a transaction wait; when it does, its process is frozen."""
        with self.database.connect() as locker:
            locker.begin()
            locker.cursor().execute("SELECT customer FROM account_state FOR UPDATE")
            instance = self._in_transaction()
            if instance is None:
                locker.rollback()
                raise NotDone("no transaction of an instance was waiting")
            instance.is_frozen = True
            instance.signal(signal.SIGSTOP)
            locker.rollback()
        return self._frozen(instance, fault.seconds)

    def _in_transaction(self):
        deadline = time.monotonic() + IN_TRANSACTION_SECONDS_MAX
        with self.admin.connect(database=False) as connection:
            while time.monotonic() < deadline:
                for port in ports_in_transaction(connection, self.database.name):
                    instance = self.fleet.of_port(port)
                    if instance and not instance.is_frozen and instance.told is None:
                        return instance
        return None

    def _frozen(self, instance, seconds):
        instance.is_frozen = True
        instance.signal(signal.SIGSTOP)
        time.sleep(seconds)
        instance.signal(signal.SIGCONT)
        instance.is_frozen = False
        return f"{instance} for {seconds} s"

    def come_and_go(self, fault):
        self.fleet.want(1)
        time.sleep(fault.seconds)
        self.fleet.want(-1)
        instance = self._pick(fault, lambda i: i.told is None and not i.is_frozen)
        self.fleet.tell(instance, "terminated", signal.SIGTERM)
        return f"one more instance for {fault.seconds} s, then {instance} left"

    def _pick(self, fault, usable):
        instance = self.fleet.pick(fault.which, usable)
        if instance is None:
            raise NotDone("no instance to hit")
        return instance

    # ---- the database

    def cut_connections(self, fault):
        rng = random.Random(fault.which)
        cut = 0
        with self.admin.connect(database=False) as connection, connection.cursor() as cursor:
            own = connection.thread_id()
            cursor.execute("SELECT ID FROM information_schema.PROCESSLIST WHERE DB = %s", (self.database.name,))
            for (session,) in cursor.fetchall():
                if session != own and rng.random() < 0.5:
                    try:
                        cursor.execute(f"KILL {session}")
                        cut += 1
                    except pymysql.Error:
                        # It has ended by itself.
                        pass
        return f"{cut} sessions killed"

    def lose_answer(self, fault):
        way = "after" if fault.which % 3 else "before"
        self.proxy.due.append(way)
        return f"the next COMMIT through the proxy, {way} it was passed on"

    def hold_locks(self, fault):
        with self.database.connect() as locker:
            locker.begin()
            table = "realtime_offsets" if fault.which % 2 else "account_state"
            locker.cursor().execute(f"SELECT * FROM {table} FOR UPDATE")
            time.sleep(fault.seconds)
            locker.rollback()
        return f"all rows of {table} for {fault.seconds} s"

    def mysql_kill(self, fault):
        return self._outage("mysql", "kill", fault.seconds)

    def mysql_stop(self, fault):
        return self._outage("mysql", "stop", fault.seconds)

    # ---- Kafka

    def kafka_kill(self, fault):
        return self._outage("kafka", "kill", fault.seconds)

    def kafka_stop(self, fault):
        return self._outage("kafka", "stop", fault.seconds)

    def _outage(self, server, way, seconds):
        if not self.is_in_charge:
            raise NotDone("the servers were not started by scripts/services")
        if not self.outages[server].acquire(blocking=False):
            raise NotDone("it is away already")
        try:
            begun = time.monotonic()
            self.services(way, server)
            time.sleep(seconds)
            self.services("start", server)
            return f"back after {time.monotonic() - begun:.1f} s"
        finally:
            self.outages[server].release()

    def add_partition(self, _):
        count = self.topic.partitions + 1
        if count > PARTITIONS_MAX:
            raise NotDone(f"there are {self.topic.partitions} already")
        made = self.topic.admin.create_partitions([NewPartitions(self.topic.name, count)])
        made[self.topic.name].result(timeout=60)
        self.topic.grown(count)
        return f"there are {count} now"

    def bad_messages(self, _):
        self.traffic.bad_due += BURST
        return f"{BURST} messages in a row"
