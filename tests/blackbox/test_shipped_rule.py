"""What ships: the sample movements go in, and the rows of an independent calculation stand in MySQL."""

import json

import rules
from harness import ROOT
from shipped import shipped_job


def expected(movements):
    """The rows of `classified_movements` and of `reactions`, as sorted lists."""
    accounts = rules.accounts(ROOT / "data" / "accounts.csv")
    classified, single = [], []
    for m in movements:
        account = accounts.get(m["customer"])
        found = rules.reactions(m, account)
        kinds = [rules.MOVEMENT_OF[reaction] for reaction in found]
        classified.append(
            (
                m["customer"],
                m["date"],
                m["agency"],
                m["operation_type"],
                m["operation_value"],
                m["account_balance"],
                account["name"] if account else "",
                "/".join(kinds),
                "/".join(found),
            )
        )
        single += [(m["customer"], m["date"], kind, reaction) for kind, reaction in zip(kinds, found, strict=True)]
    return sorted(classified), sorted(single)


def check(job, movements):
    classified, single = expected(movements)
    rows = job.database.rows(
        "SELECT customer, date, agency, operation_type, operation_value, account_balance, COALESCE(name, ''),"
        " COALESCE(movement, ''), COALESCE(reaction, '') FROM classified_movements"
    )
    assert sorted(rows) == classified
    assert sorted(job.database.rows("SELECT customer, date, movement, reaction FROM reactions")) == single


def test_sample_movements(new_job, new_topic):
    job = shipped_job(new_job, new_topic(partitions=4, word="customer_movements"))
    movements = json.loads((ROOT / "data" / "customers.json").read_text(encoding="utf-8"))
    joined = {row[-1] for row in expected(movements)[0]}
    # Each of three reactions or not.
    assert len(joined) == 2**3, "the sample shows every case"

    job.run("produce", "data/customers.json")
    job.catch_up()
    check(job, movements)

    job.catch_up()
    check(job, movements)

    more = movements[:37]
    job.write("more.jsonl", "".join(json.dumps(movement, ensure_ascii=False) + "\n" for movement in more))
    job.run("produce", "more.jsonl")
    job.catch_up()
    check(job, movements + more)
    assert job.database.value("SELECT COUNT(*) FROM dead_letters") == 0


def test_produce_takes_an_object_with_one_array(new_job, new_topic):
    job = shipped_job(new_job, new_topic())
    movements = json.loads((ROOT / "data" / "customers.json").read_text(encoding="utf-8"))[:5]
    job.write("wrapped.json", {"made_by": "a test", "movements": movements})
    job.run("produce", "wrapped.json")
    job.catch_up()
    check(job, movements)


def test_produce_checks_all_before_it_sends_one(new_job, new_topic):
    job = shipped_job(new_job, new_topic())
    movements = json.loads((ROOT / "data" / "customers.json").read_text(encoding="utf-8"))[:5]
    movements[3]["operation_value"] = "a lot"
    job.write("wrong.json", movements)
    done = job.run("produce", "wrong.json", expect=None)
    assert done.returncode != 0
    assert "operation_value" in done.stderr, done.stderr
    job.catch_up()
    assert not job.database.try_value("SELECT SUM(next_offset) FROM realtime_offsets")
