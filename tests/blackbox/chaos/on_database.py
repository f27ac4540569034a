"""Faults of the database and of the way to it: cut, stalled, locked, away, or suddenly another server."""

import random
import signal
import time
from contextlib import ExitStack

import pymysql

from chaos.on_instances import replace
from chaos.plan import Fault
from chaos.world import NotDone

# Between two rebalances during a stall; a session of the group that is not ended in good order lasts 6 s.
GAP_SECONDS = (0.3, 4.0)


def cut_connections(world, fault):
    rng = random.Random(fault.which)
    cut = 0
    with world.pair.admin().connect(database=False) as connection, connection.cursor() as cursor:
        own = connection.thread_id()
        cursor.execute("SELECT ID FROM information_schema.PROCESSLIST WHERE DB = %s", (world.database.name,))
        for (session,) in cursor.fetchall():
            if session != own and rng.random() < 0.5:
                try:
                    cursor.execute(f"KILL {session}")
                    cut += 1
                except pymysql.Error:
                    # It has ended by itself.
                    pass
    return f"{cut} sessions killed"


def lose_answer(world, fault):
    way = "after" if fault.which % 3 else "before"
    instance = world.pick(fault)
    world.fleet.proxy_of(instance).due.append(way)
    return f"the next COMMIT of {instance}, {way} it was passed on"


def hold_locks(world, fault):
    table = "realtime_offsets" if fault.which % 2 else "account_state"
    with world.database.connect() as locker:
        locker.begin()
        locker.cursor().execute(f"SELECT * FROM {table} FOR UPDATE")
        time.sleep(fault.seconds)
        locker.rollback()
    return f"all rows of {table} for {fault.seconds} s"


def stall_one(world, fault):
    """One instance does not reach the database while partitions come and go between it and the others."""
    instance = world.pick(fault, lambda i: world.fleet.proxy_of(i).passes.is_set())
    what = stall(world, fault, [world.fleet.proxy_of(instance)], lambda other: other.slot != instance.slot)
    return f"{instance} {what}"


def stall_all(world, fault):
    """No instance reaches the database."""
    proxies = [proxy for proxy in world.fleet.all_proxies() if proxy.passes.is_set()]
    return f"all instances {stall(world, fault, proxies, lambda _: True)}"


def stall(world, fault, proxies, usable):
    """Holds back all that goes through these proxies, while instances that are usable for it end and start."""
    rng = random.Random(fault.which)
    begun, rebalances = time.monotonic(), 0
    with ExitStack() as stack:
        for proxy in proxies:
            proxy.stall()
            stack.callback(proxy.go_on)
        while (left := begun + fault.seconds - time.monotonic()) > 0:
            gap = Fault(0, "", min(left, rng.uniform(*GAP_SECONDS)), rng.randrange(1 << 16))
            told, sign = ("killed", signal.SIGKILL) if rng.random() < 0.3 else ("terminated", signal.SIGTERM)
            try:
                replace(world, gap, told, sign, usable)
                rebalances += 1
            except NotDone:
                pass
            time.sleep(min(left, rng.uniform(*GAP_SECONDS)))
        is_cut = rng.random() < 0.3
        if is_cut:
            for proxy in proxies:
                proxy.cut()
    end = "the connections were cut then" if is_cut else "what was held back came then"
    return f"for {time.monotonic() - begun:.1f} s, during which {rebalances} instances were replaced; {end}"


def mysql_kill(world, fault):
    return world.outage("mysql", "kill", fault.seconds)


def mysql_stop(world, fault):
    return world.outage("mysql", "stop", fault.seconds)


def switch_over(world, fault):
    """The address moves in good order; connections to the old server are left or cut."""
    is_cut = bool(fault.which % 2)
    with world.alone_with("mysql"):
        if not world.pair.is_replicated:
            raise NotDone("there is no replica")
        try:
            world.pair.switch_over(is_cut, round(fault.seconds))
        except AssertionError as error:
            raise NotDone(str(error)) from error
        return f"to {world.pair.primary.name}, the connections to the old server {'cut' if is_cut else 'left'}"


def fail_over(world, fault):
    """The address moves to a replica that lacks the last transactions."""
    is_dead, is_cut = bool(fault.which % 2), bool(fault.which % 3)
    with world.alone_with("mysql"):
        if not world.pair.is_replicated:
            raise NotDone("there is no replica")
        lost = world.pair.fail_over(is_dead, is_cut, round(fault.seconds))
        old = "died" if is_dead else f"became read-only, the connections to it {'cut' if is_cut else 'left'}"
        return f"to {world.pair.primary.name}, which lacks {lost} transactions; the old server {old}"


ON_DATABASE = {
    "cut-connections": cut_connections,
    "lose-answer": lose_answer,
    "hold-locks": hold_locks,
    "stall-one": stall_one,
    "stall-all": stall_all,
    "mysql-kill": mysql_kill,
    "mysql-stop": mysql_stop,
    "switch-over": switch_over,
    "fail-over": fail_over,
}
