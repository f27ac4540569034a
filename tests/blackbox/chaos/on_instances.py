"""Faults of instances: they end, freeze, come and go."""

import signal
import time

from chaos.world import NotDone
from harness import ports_in_transaction

IN_TRANSACTION_SECONDS_MAX = 8


def kill(world, fault):
    return replace(world, fault, "killed", signal.SIGKILL)


def terminate(world, fault):
    return replace(world, fault, "terminated", signal.SIGTERM)


def replace(world, fault, told, sign, usable=lambda _: True):
    """Ends an instance; another one starts after a while."""
    instance = world.pick(fault, usable)
    world.fleet.want(-1)
    world.fleet.tell(instance, told, sign)
    time.sleep(fault.seconds)
    world.fleet.want(1)
    return f"{instance}, another one after {fault.seconds} s"


def freeze(world, fault):
    return frozen(world.pick(fault), fault.seconds)


def freeze_in_transaction(world, fault):
    """Locks held by another session make a transaction wait; when it does, its process is frozen."""
    with world.database.connect() as locker:
        locker.begin()
        locker.cursor().execute("SELECT customer FROM account_state FOR UPDATE")
        instance = in_transaction(world)
        if instance is None:
            locker.rollback()
            raise NotDone("no transaction of an instance was waiting")
        instance.is_frozen = True
        instance.signal(signal.SIGSTOP)
        locker.rollback()
    return frozen(instance, fault.seconds)


def in_transaction(world):
    deadline = time.monotonic() + IN_TRANSACTION_SECONDS_MAX
    with world.pair.admin().connect(database=False) as connection:
        while time.monotonic() < deadline:
            for port in ports_in_transaction(connection, world.database.name):
                instance = world.fleet.of_port(port)
                if instance and not instance.is_frozen and instance.told is None:
                    return instance
    return None


def frozen(instance, seconds):
    instance.is_frozen = True
    instance.signal(signal.SIGSTOP)
    time.sleep(seconds)
    instance.signal(signal.SIGCONT)
    instance.is_frozen = False
    return f"{instance} for {seconds} s"


def come_and_go(world, fault):
    world.fleet.want(1)
    time.sleep(fault.seconds)
    world.fleet.want(-1)
    instance = world.pick(fault)
    world.fleet.tell(instance, "terminated", signal.SIGTERM)
    return f"one more instance for {fault.seconds} s, then {instance} left"


ON_INSTANCES = {
    "kill": kill,
    "terminate": terminate,
    "freeze": freeze,
    "freeze-in-transaction": freeze_in_transaction,
    "come-and-go": come_and_go,
}
