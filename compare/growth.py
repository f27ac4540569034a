"""What must not change: rate and latency while accounts and state in the database grow, time a message while a topic
does. They take long (ten million messages and keys), so they are made only when they are asked for."""

import re

from compare import topic as topics
from compare.latency import CALM, latency
from compare.ours import Project
from compare.run import catch_up

FEW_CUSTOMERS = 1_000
ACCOUNTS = """
CREATE TABLE {} (customer_id INT PRIMARY KEY, name VARCHAR(64), age INT, account_manager VARCHAR(64),
  account_type VARCHAR(16), credit_score INT)
"""


def measure_accounts(bench, _):
    """Accounts in the database: a thousand, and a million."""
    topic = bench.seeded(bench.messages, customers=FEW_CUSTOMERS)
    database = bench.tables.database
    database.execute(ACCOUNTS.format("accounts_few"))
    rows = list(topics.accounts(bench.seed, FEW_CUSTOMERS))
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO accounts_few VALUES (%s, %s, %s, %s, %s, %s)", rows)
    database.execute(ACCOUNTS.format("accounts_many"))
    database.execute("INSERT INTO accounts_many SELECT * FROM accounts_few")
    double(bench, "accounts_many", "customer_id", FEW_CUSTOMERS)
    variants = {name: Project(config=accounts_in(name)) for name in ("accounts_few", "accounts_many")}
    for name, project in bench.rounds(variants):
        grown(bench, topic, name, project)


def accounts_in(table):
    return {"reference_tables": {"accounts": {"table": table, "key": "customer_id", "matches": "customer"}}}


def measure_keys(bench, _):
    """State in the database: none at the start, and ten million keys."""
    topic = bench.seeded(bench.messages)
    database = bench.tables.database
    bench.say("making ten million keys of state")
    database.execute("DROP TABLE IF EXISTS account_state")
    job = bench.sides["ours"].project(topic, Project(has_state=True))
    catch_up(bench, job, topic)
    job.forget()
    double(bench, "account_state", "customer", topics.CUSTOMERS)
    database.execute("RENAME TABLE account_state TO account_state_many")
    for name, project in bench.rounds({name: Project(has_state=True) for name in ("keys_none", "keys_many")}):
        if name == "keys_many":
            database.execute("RENAME TABLE account_state_many TO account_state")
        grown(bench, topic, name, project)
        if name == "keys_many":
            database.execute("RENAME TABLE account_state TO account_state_many")
        else:
            database.execute("DROP TABLE account_state")


def grown(bench, topic, name, project):
    side = bench.sides["ours"]
    job = side.project(topic, project)
    bench.add(f"{name}.rate", catch_up(bench, job, topic).rate)
    job.forget()
    found, _ = latency(bench, side, CALM, bench.latency_seconds, project)
    for quantile in ("p50", "p99"):
        bench.add(f"{name}.{quantile}", found[quantile])


def double(bench, table, key, rows):
    """Copies all rows of a table to keys that are free, again and again."""
    columns = bench.tables.database.columns(table)
    admin = bench.tables.admin
    if admin:
        # Why: gigabytes of a binary log that nobody reads would be in the way of what is measured.
        admin.execute("SET SESSION sql_log_bin = 0")
    session = admin or bench.tables.database
    place = f"{bench.tables.database.name}.{table}"
    names = ", ".join(f"`{column}`" for column in columns)
    for number in range(bench.doublings):
        shift = rows << number
        values = re.sub(f"`{key}`", f"`{key}` + {shift}", names, count=1)
        session.execute(f"INSERT INTO {place} ({names}) SELECT {values} FROM {place}")


def measure_linear(bench, _):
    """A tenth, all, and five times as many messages: what one more costs."""
    sizes = (bench.messages // 10, bench.messages, bench.messages * 5)
    named = {size: bench.seeded(size) for size in sizes}
    took = {}
    for size, topic in bench.rounds(named):
        job = bench.sides["ours"].project(topic, Project())
        took[size] = catch_up(bench, job, topic).last_seconds
        job.forget()
        bench.add(f"linear.{size}", took[size])
        if size == sizes[-1]:
            small, middle, large = (took[size] for size in sizes)
            bench.add("linear.first", (middle - small) / (sizes[1] - sizes[0]) * 1e6)
            bench.add("linear.after", (large - middle) / (sizes[2] - sizes[1]) * 1e6)
