"""The SQL prompt as people meet it: in a terminal, through a pipe, and beside a running job, which notices nothing."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer

from avro import movement
from counting import counting_job
from harness import cpu_seconds, terminate
from prompt_terminal import END, INTERRUPT, PROMPT, TAB, UP, Terminal
from test_lost_data import delete_before
from watched import free_port

MESSAGES = 20_000


@pytest.fixture
def job(new_job, new_topic):
    job = counting_job(new_job, new_topic(partitions=3))
    job.write_config(database="sqlite://out.db")
    return job


@pytest.fixture
def with_messages(job):
    job.topic.send_all((movement(n) for n in range(MESSAGES)), key=b"k", headers=[("trace", b"\xff\x00")])
    return job


@pytest.fixture
def terminal(with_messages):
    """Opens terminals with the prompt; they are closed after the test."""
    opened = []

    def open_terminal(*arguments, **options):
        opened.append(Terminal(with_messages.command("sql", *arguments), with_messages.folder, **options))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.close()


def sql(job, *queries, **options):
    arguments = [part for query in queries for part in ("-c", query)]
    return job.run("sql", *options.pop("arguments", ()), *arguments, **options)


def groups(topic):
    listed = topic.admin.list_consumer_groups().result(timeout=30)
    return sorted(group.group_id for group in listed.valid)


def test_answers_as_table_json_and_csv(with_messages):
    query = "SELECT n, o >= 0 AS there FROM counted ORDER BY n LIMIT 2"
    assert sql(with_messages, query).stdout.splitlines() == [
        " n | there", "---+-------", " 0 | true", " 1 | true", "(2 rows)"]  # fmt: skip
    rows = sql(with_messages, query, arguments=["--format", "json"]).stdout.splitlines()
    assert [json.loads(row) for row in rows] == [{"n": 0, "there": True}, {"n": 1, "there": True}]
    assert sql(with_messages, query, arguments=["--format", "csv"]).stdout == "n,there\n0,true\n1,true\n"
    with_messages.write("two.sql", f"-- two\n{query};\nSELECT count(*) AS c\nFROM batch;\n")
    done = with_messages.run("sql", "--format", "csv", "-f", "two.sql")
    assert done.stdout == f"n,there\n0,true\n1,true\nc\n{MESSAGES}\n"


def test_a_pipe_is_answered_part_by_part(with_messages):
    process = subprocess.Popen(
        with_messages.command("sql", "--format", "json"), cwd=with_messages.folder, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    process.stdin.write("SELECT count(*)\nAS n FROM batch;\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline()) == {"n": MESSAGES}
    process.stdin.write("SELECT 2 AS two; SELECT nothing FROM batch; SELECT 3 AS three;\n")
    out, err = process.communicate(timeout=60)
    assert out == '{"two":2}\n' and process.returncode == 1
    assert "query:1:25: error: no column `nothing`" in err, err


def test_exit_codes(job):
    job.topic.send_all([movement(1)])
    assert sql(job, "SELECT 1 AS one").returncode == 0
    done = sql(job, "SELECT custmer FROM batch", expect=1)
    assert "query:1:8: error: no column `custmer`" in done.stderr and "did you mean `customer`?" in done.stderr
    assert "expected a query" in sql(job, "DROP TABLE batch", expect=1).stderr
    assert "did you mean `\\graph`?" in sql(job, "\\grahp", expect=1).stderr
    job.run("sql", "-f", "nowhere.sql", expect=1)
    job.run("sql", "--rows", "0", expect=2)
    job.write("sql/broken.sql", "SELECT custmer FROM batch")
    done = sql(job, "SELECT count(*) AS n FROM counted", arguments=["--format", "csv"])
    assert done.stdout == "n\n1\n" and "broken.sql:1:8: error:" in done.stderr
    job.write("schema.avsc", "{")
    assert "schema.avsc" in sql(job, "SELECT 1 AS one", expect=78).stderr


def test_nothing_is_stored_or_joined(with_messages, new_job, database):
    """Offsets, groups and tables are as they were, also beside a running job."""
    job = counting_job(new_job, with_messages.topic)
    process = job.start()
    job.wait_committed(MESSAGES, 60, process)

    def state():
        tables = database.rows("SHOW TABLES")
        counts = database.rows("SELECT COUNT(*), COUNT(DISTINCT n) FROM counted")
        stored = database.rows(
            "SELECT kafka_partition, next_offset, epoch, updated_at FROM realtime_offsets ORDER BY kafka_partition"
        )
        return tables, counts, stored, groups(job.topic)  # fmt: skip

    before = state()
    done = sql(
        job, "SELECT count(*) AS n FROM counted", "SELECT count(*) AS n FROM db.counted", "\\d", "\\graph",
        "SELECT count(*) AS n FROM dead_letters", "\\next", arguments=["--format", "csv"])  # fmt: skip
    assert done.stdout.startswith(f"n\n{MESSAGES}\nn\n{MESSAGES}\n"), done.stdout
    assert (
        sql(job, "SELECT count(*) AS n FROM batch", arguments=["--from", "stored", "--format", "csv"]).stdout
        == "n\n0\n"
    )
    for refused in ("DELETE FROM db.counted", "INSERT INTO db.counted SELECT 1"):
        sql(job, refused, expect=1)
    assert state() == before
    assert process.poll() is None
    job.topic.send_all([movement(n) for n in range(MESSAGES, MESSAGES + 5)])
    job.wait_committed(MESSAGES + 5, 30, process)


def test_nothing_is_created_where_the_job_never_ran(with_messages):
    sql(with_messages, "SELECT count(*) AS n FROM counted", "\\d")
    assert not (with_messages.folder / "out.db").exists()


def test_where_the_batch_starts(with_messages):
    def count(*arguments, query="SELECT count(*) AS n, min(kafka_offset) AS o FROM batch"):
        return sql(with_messages, query, arguments=[*arguments, "--format", "csv"]).stdout.splitlines()[1]

    last = MESSAGES // 3
    assert count("--rows", "30") == "30,0"
    assert count("--rows", "30", "--from", "end").split(",")[0] == "30"
    assert int(count("--rows", "30", "--from", "end").split(",")[1]) >= last - 12
    assert count("--from", "stored") == f"{MESSAGES},0"
    done = sql(
        with_messages, "SELECT max(kafka_offset) AS o FROM batch", "\\next", "SELECT min(kafka_offset) AS o FROM batch",
        "\\seek 0=7", "SELECT DISTINCT kafka_partition AS p, min(kafka_offset) AS o FROM batch GROUP BY kafka_partition",
        arguments=["--rows", "30", "--format", "csv"])  # fmt: skip
    assert done.stdout == "o\n9\no\n10\np,o\n0,7\n"


@pytest.mark.parametrize("name", ["kept.arrow", "kept.jsonl"])
def test_a_batch_is_kept_as_a_file_and_looked_at_without_a_broker(with_messages, name):
    query = "SELECT * FROM batch ORDER BY kafka_partition, kafka_offset"
    before = sql(with_messages, query, f"\\save {name}", arguments=["--rows", "50", "--format", "json"]).stdout
    with_messages.write_config(kafka_server="127.0.0.1:1")
    after = sql(with_messages, f"\\load {name}", query, arguments=["--format", "json"]).stdout
    assert after == before and len(after.splitlines()) == 50
    first = json.loads(after.splitlines()[0])
    assert first["kafka_key"] == "k" and first["kafka_headers"] == {"trace": {"base64": "/wA="}}


def test_no_broker_is_said_by_the_query_that_needs_it(with_messages):
    with_messages.write_config(kafka_server="127.0.0.1:1")
    assert sql(with_messages, "SELECT 1 AS one").returncode == 0
    stderr = sql(with_messages, "SELECT * FROM batch", expect=1, timeout=90).stderr
    assert "127.0.0.1:1" in stderr and "`\\load FILE`" in stderr and "`sql --job URL`" in stderr


def test_gaps_of_transactions_are_no_end(job, kafka_server):
    """Aborted messages are not seen, and a partition that ends with a transaction's marker is read to its end."""
    producer = Producer({"bootstrap.servers": kafka_server, "transactional.id": job.name})
    producer.init_transactions(30)
    for n, ends in enumerate([producer.commit_transaction, producer.abort_transaction, producer.commit_transaction]):
        producer.begin_transaction()
        for m in range(5):
            producer.produce(job.topic.name, movement(n * 5 + m), partition=0)
        producer.flush(30)
        ends(30)
    query = "SELECT count(*) AS n, max(customer) AS last FROM batch"
    assert sql(job, query, arguments=["--format", "csv"]).stdout == "n,last\n10,14\n"


def test_dead_letters_stand_beside_their_reasons(job):
    job.topic.send_all([movement(1), b"\xff\xff", movement(2)])
    query = "SELECT kafka_offset >= 0 AS o, reason <> '' AS why, encode(payload, 'hex') AS p FROM dead_letters"
    assert sql(job, query, arguments=["--format", "csv"]).stdout == "o,why,p\ntrue,true,ffff\n"
    job.catch_up()
    rows = sql(job, query, "SELECT count(*) AS n FROM batch", arguments=["--dead-letters", "--format", "csv"]).stdout
    assert rows == "o,why,p\ntrue,true,ffff\nn\n0\n"


def test_a_session_in_a_terminal(terminal):
    """Several lines, an error with its place, history, completion, and leaving."""
    prompt = terminal()
    prompt.wait_prompt()
    prompt.enter("SELECT count(*) AS messages")
    prompt.enter("FROM batch;")
    prompt.wait_for(str(MESSAGES))
    prompt.wait_for("Time: ")
    prompt.wait_prompt()
    answer = prompt.ask("SELECT custmer FROM batch;")
    assert "query:1:8:" in answer and "^^^^^^^" in answer and "did you mean `customer`?" in answer
    # Tab completes the relation, then the column.
    prompt.type("SELECT n FROM coun" + TAB)
    prompt.wait_for("SELECT n FROM counted")
    prompt.enter(" WHERE operat" + TAB + " > 1e300;")
    assert "operation_value > 1e300" in prompt.wait_for("(0 rows)")
    prompt.wait_prompt()
    # The line before, as it was typed.
    prompt.type(UP)
    prompt.wait(lambda text: text.rstrip().endswith("> 1e300;"), what="the last line")
    # Ctrl-C drops the line and not the prompt.
    prompt.type(INTERRUPT)
    prompt.wait_prompt()
    assert "counted" in prompt.ask("\\d counted")
    assert "no command `\\grahp`" in prompt.ask("\\grahp")
    prompt.type(END)
    assert prompt.exit_code() == 0
    again = terminal()
    again.wait_prompt()
    again.type(UP)
    again.wait_for(PROMPT + "\\grahp")
    again.enter("")
    again.wait_for("no command")
    again.enter("\\q")
    assert again.exit_code() == 0


def test_ctrl_c_cancels_a_runaway_query(terminal, figure):
    prompt = terminal()
    prompt.wait_prompt()
    prompt.ask("SELECT count(*) AS n FROM batch;")
    for query in (
        "SELECT count(*) AS n FROM batch a, batch b, batch c;",
        "SELECT a.customer, b.customer AS other, c.agency FROM batch a, batch b, batch c WHERE a.agency || b.agency = c.date;",
    ):
        prompt.enter(query)
        time.sleep(1.5)
        prompt.read(0.1)
        started = time.monotonic()
        prompt.type(INTERRUPT)
        prompt.wait(lambda text: text.count("cancelled") and text.endswith(PROMPT.rstrip()), 20, "the prompt")
        elapsed = time.monotonic() - started
        figure(f"cancelled in {elapsed * 1000:.0f} ms")
        assert elapsed < 1, query
        assert "42" in prompt.ask("SELECT 42 AS answer;")
    # Nothing goes on in the background.
    time.sleep(3)
    before = cpu_seconds(prompt.pid)
    time.sleep(1)
    assert cpu_seconds(prompt.pid) - before < 0.5
    prompt.enter("\\q")
    assert prompt.exit_code() == 0


def test_ctrl_c_ends_a_query_of_the_command_line(with_messages):
    query = "SELECT count(*) AS n FROM batch a, batch b, batch c"
    process = subprocess.Popen(
        with_messages.command("sql", "-c", query), cwd=with_messages.folder, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        time.sleep(3)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        # A shell says 130.
        assert process.wait(timeout=5) == -signal.SIGINT
    finally:
        # It would go on for hours where SIGINT is ignored, as in what a shell runs in the background.
        process.kill()


def test_a_pager_where_it_is_long_and_a_table_that_fits(terminal):
    prompt = terminal(PAGER="sed s/^/paged/")
    prompt.wait_prompt()
    long = prompt.ask("SELECT n FROM counted ORDER BY n LIMIT 200;")
    assert "paged" in long and "(200 rows)" in long
    short = prompt.ask("SELECT n FROM counted ORDER BY n LIMIT 2;")
    assert "paged" not in short and "(2 rows)" in short
    wide = prompt.ask("SELECT repeat('x', 300) AS a, 123456789 AS number, repeat('y', 300) AS b;")
    assert "…" in wide and "123456789" in wide
    # After a resize the table fits the new width.
    prompt.resize(60, 30)
    narrow = prompt.ask("SELECT repeat('z', 300) AS a, 123456789 AS number;")
    assert all(len(line) <= 60 for line in narrow.splitlines()) and "z…" in narrow, narrow


def test_the_time_that_a_reader_spends_in_the_pager_is_not_the_time_of_the_query(terminal):
    prompt = terminal(PAGER='sh -c "sleep 10; cat"')
    prompt.wait_prompt()
    # Reads the batch.
    prompt.ask("SELECT count(*) AS n FROM batch;")
    begun = time.monotonic()
    answer = prompt.ask("SELECT n FROM counted ORDER BY n LIMIT 200;", seconds=60)
    assert time.monotonic() - begun > 10 and "(200 rows)" in answer, answer
    # From 10 s on it would be in seconds.
    shown = re.search(r"Time: ([\d.]+) ms", answer)
    assert shown and float(shown[1]) < 8_000, answer


def test_colours_only_where_they_are_wanted(terminal):
    prompt = terminal()
    prompt.wait_prompt()
    prompt.ask("SELECT NULL AS nothing;")
    assert b"\x1b[2mNULL" in prompt.raw
    plain = terminal(NO_COLOR="1")
    plain.wait_prompt()
    plain.ask("SELECT NULL AS nothing;")
    assert b"\x1b[2m" not in plain.raw and b"\x1b[1m" not in plain.raw


def test_the_log_is_coloured_only_if_that_is_wanted(job):
    """stderr is a terminal here, and a job logs what it did."""
    for wanted, variables in ((True, {}), (False, {"NO_COLOR": "1"}), (False, {"TERM": "dumb"})):
        shown = Terminal(job.command("run", "--until-caught-up", "--progress", "none"), job.folder, **variables)
        shown.wait_for("done after")
        assert (b"\x1b[" in shown.raw) == wanted, (variables, shown.raw)
        shown.close()


def test_the_live_line_of_a_job_fits_the_terminal(with_messages):
    shown = Terminal(with_messages.command("run"), with_messages.folder, columns=50)
    shown.wait(lambda _: b" messages, " in shown.raw, 60, "the live line")
    os.kill(shown.pid, signal.SIGTERM)
    assert shown.exit_code() == 0
    shown.close()
    written = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.raw.decode())
    lines = [line for line in re.split(r"[\r\n]+", written) if " messages, " in line]
    assert lines and all(len(line) <= 50 for line in lines), lines


def test_an_edit_and_what_it_changes(terminal, with_messages):
    with_messages.write(
        "editor.sh",
        "sed -i 's/operation_value,/operation_value + (CASE WHEN customer = 7 THEN 1 ELSE 0 END) AS operation_value,/' \"$1\"\n",
    )
    prompt = terminal(VISUAL="sh editor.sh", columns=160)
    prompt.wait_prompt()
    assert "operation_value" in prompt.ask("\\view counted")
    assert "changed: `counted`" in prompt.ask("\\edit counted")
    difference = prompt.ask("\\diff counted")
    assert f"1 changed, 0 removed, 0 added, {MESSAGES - 1} as before" in difference, difference
    assert difference.index("1 changed") < difference.index("±") and "*" in difference, "the summary first, then the rows"
    assert "1 of 1 views have other rows" in prompt.ask("\\diff")
    # The file of the job is as it was until the draft is applied.
    assert "CASE WHEN" not in (with_messages.folder / "sql/counted.sql").read_text()
    applied = prompt.ask("\\apply")
    assert "sql/counted.sql" in applied and "the tests of the views were not run" in applied, applied
    assert "only new messages" in applied and "realtime-processor fill" in applied, applied
    assert "CASE WHEN" in (with_messages.folder / "sql/counted.sql").read_text()
    assert "no view was edited" in prompt.ask("\\apply")


def test_a_draft_that_is_not_applied_is_kept(terminal, with_messages):
    with_messages.write("editor.sh", "sed -i 's/operation_value,/operation_value + 1 AS operation_value,/' \"$1\"\n")
    prompt = terminal(VISUAL="sh editor.sh", columns=160)
    prompt.wait_prompt()
    prompt.ask("\\edit counted")
    prompt.enter("quit")
    assert prompt.exit_code() == 0
    kept = re.search(r"not applied, and kept: `counted` \((\S+)\)", prompt.text())
    assert kept and "+ 1" in Path(kept[1]).read_text(), prompt.text()


def test_a_stray_sighup_ends_nothing(terminal):
    """As `kill -HUP $(pidof realtime-processor)` sends it. Without its terminal the prompt ends."""
    prompt = terminal()
    prompt.wait_prompt()
    os.kill(prompt.pid, signal.SIGHUP)
    time.sleep(0.5)
    assert "42" in prompt.ask("SELECT 42 AS answer;")
    os.close(prompt.file)
    deadline = time.monotonic() + 10
    while os.waitpid(prompt.pid, os.WNOHANG) == (0, 0):
        assert time.monotonic() < deadline, "still running"
        time.sleep(0.05)
    prompt.pid, prompt.file = None, os.open(os.devnull, os.O_RDONLY)


def test_a_narrow_terminal_and_words_of_other_prompts(terminal):
    prompt = terminal(columns=80, PAGER="cat")
    prompt.wait_prompt()
    for command in ("help", "\\batch"):
        assert all(len(line) <= 80 for line in prompt.ask(command).splitlines())
    prompt.type("SELECT 1 AS one,\r")
    prompt.wait(lambda text: text.endswith("\n  ->"), what="the prompt of a query that goes on")
    prompt.enter("2 AS two \\g")
    assert " 1 |   2" in prompt.wait_for("(1 row)")
    prompt.wait_prompt()
    assert "one | 1" in prompt.ask("\\gx")
    prompt.enter("SELECT count(*) AS n FROM batch a, batch b, batch c;")
    prompt.wait_for("s (Ctrl-C cancels)")
    prompt.type(INTERRUPT)
    prompt.wait_for("cancelled")
    prompt.wait_prompt()
    prompt.enter("exit")
    assert prompt.exit_code() == 0


def test_messages_that_are_processed_are_not_counted_twice(new_job, new_topic):
    """A view over state returns the rows that the job has written, before the job and beside it, or the prompt says why."""
    job = counting_job(new_job, new_topic(partitions=1))
    job.write("sql/next_seen.sql", "SELECT b.customer, max(coalesce(s.times, 0)) + count(*) AS times FROM batch b"
              " LEFT JOIN seen s ON s.customer = b.customer GROUP BY b.customer")  # fmt: skip
    job.write_config(
        database="sqlite://out.db",
        outputs={"counted": {"table": "counted"}},
        state_tables={"seen": {"view": "next_seen", "key": "customer"}},
    )
    job.topic.send_all([movement(n % 10) for n in range(1000)])
    job.catch_up()
    query = "SELECT min(times) AS low, max(times) AS high FROM next_seen"
    last = ("--from", "end", "--rows", "100", "--format", "csv")
    done = sql(job, query, arguments=last)
    assert done.stdout == "low,high\n100,100\n" and "computed from 900 messages" in done.stderr, done
    twice = sql(job, query, arguments=(*last, "--state", "stored"))
    assert twice.stdout == "low,high\n110,110\n" and "processed 100 of the 100 messages" in twice.stderr, twice

    def cannot_be_had(why):
        done = sql(job, query, arguments=last)
        assert done.stdout == "low,high\n110,110\n" and "processed 100 of the 100 messages" in done.stderr, done
        assert f"the state before it cannot be had: {why}" in done.stderr, done
        failed = sql(job, query, arguments=(*last, "--state", "before"), expect=1)
        assert f"error: the state before this batch cannot be computed: {why}" in failed.stderr, failed

    delete_before(job.topic, 10)
    cannot_be_had(f"Kafka has deleted the messages of {job.topic.name}[0] before offset 10")
    job.write_config(starting_offsets="latest")
    cannot_be_had("the job began at the latest offsets, and where those were is not known")


def test_dead_letters_of_the_job_are_in_no_state(new_job, new_topic, database):
    """The job withdraws what a message that the database refuses did to state, and so does the prompt."""
    job = counting_job(new_job, new_topic(partitions=1))
    job.write("sql/next_seen.sql", "SELECT b.customer, max(coalesce(s.times, 0)) + count(*) AS times FROM batch b"
              " LEFT JOIN seen s ON s.customer = b.customer GROUP BY b.customer")  # fmt: skip
    job.write_config(
        outputs={"counted": {"table": "counted"}},
        state_tables={"seen": {"view": "next_seen", "key": "customer"}},
    )
    job.topic.send_all([movement(n % 10) for n in range(100)])
    job.catch_up()
    database.execute("ALTER TABLE counted ADD CHECK (n <> 3 OR o < 100)")
    job.topic.send_all([movement(n % 10) for n in range(110)])
    job.catch_up()
    query = "SELECT min(times) AS low, max(times) AS high FROM next_seen"
    done = sql(job, query, arguments=("--from", "end", "--rows", "10", "--format", "csv"))
    assert done.stdout == "low,high\n11,21\n", done
    assert "200 messages, without 10 that wait among the dead letters" in done.stderr, done


def test_batches_of_a_running_job_are_not_counted_twice(new_job, new_topic):
    """A view over state gives over the job's last batch what the job has written of it."""
    port = free_port()
    job = counting_job(new_job, new_topic(partitions=1), http=f"127.0.0.1:{port}")
    job.write("sql/next_seen.sql", "SELECT b.customer, max(coalesce(s.times, 0)) + count(*) AS times FROM batch b"
              " LEFT JOIN seen s ON s.customer = b.customer GROUP BY b.customer")  # fmt: skip
    job.write_config(
        outputs={"counted": {"table": "counted"}},
        state_tables={"seen": {"view": "next_seen", "key": "customer"}},
    )
    process = job.start()
    for part in range(2):
        job.topic.send_all([movement(part * 500 + n) for n in range(500)])
        job.wait_committed((part + 1) * 500, 60, process)
    query = (
        "SELECT count(*) AS n, sum(CASE WHEN v.times = s.times THEN 1 ELSE 0 END) AS same"
        " FROM next_seen v JOIN db.seen s ON s.customer = v.customer"
    )
    answer = sql(job, query, arguments=("--job", f"http://127.0.0.1:{port}", "--format", "json"))
    counts = json.loads(answer.stdout)
    assert counts["n"] == counts["same"] > 0 and "as of before this batch" in answer.stderr, answer
    terminate(process)


def test_the_prompt_is_there_at_once(terminal, figure):
    started = time.monotonic()
    prompt = terminal()
    prompt.wait_for(PROMPT.rstrip())
    elapsed = time.monotonic() - started
    figure(f"the prompt after {elapsed * 1000:.0f} ms")
    # Half a second for the shipped program; a build that is not optimised, on a machine with other work, takes longer.
    assert elapsed < 5


def test_the_views_of_the_job_are_a_base(with_messages):
    """The database says which views computed what it has, whatever the files are now."""
    with_messages.catch_up()
    view = with_messages.folder / "sql/counted.sql"
    changed = "operation_value + (CASE WHEN customer = 7 THEN 1 ELSE 0 END) AS operation_value,"
    view.write_text(view.read_text().replace("operation_value,", changed, 1))
    summary = f"`counted`: 1 changed, 0 removed, 0 added, {MESSAGES - 1} as before, against the job's version"
    assert summary in sql(with_messages, "\\diff counted against deployed").stderr
    assert "0 changed" in sql(with_messages, "\\diff counted").stderr
