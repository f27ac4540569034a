"""What watches a job: its page and its metrics are asked for. And the shipped job, watched, with messages at a steady rate."""

import re
import socket
import urllib.error
import urllib.request

from shipped import shipped_job

RATE = 500
SECONDS_MAX = 240


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(port, path):
    """Status and text of an answer; 0 if nobody listens yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode("utf-8", errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def series(port, name):
    """The values of a metric, by its labels as they are written."""
    _, text = get(port, "/metrics")
    lines = [line for line in text.splitlines() if line.startswith(name + "{")]
    return {line[len(name) : line.rindex(" ")]: float(line.rsplit(" ", 1)[1]) for line in lines}


def by_label(port, name, label):
    """The values of a metric, by one of its labels."""
    return {re.search(rf'{label}="([^"]*)"', labels)[1]: value for labels, value in series(port, name).items()}


def watched_job(new_job, topic, customer=None):
    """Starts the job and its messages. `customer` is the name that all customers have."""
    listens = f"127.0.0.1:{free_port()}"
    job = shipped_job(new_job, topic, http=listens)
    job.address = f"http://{listens}/"
    if customer is not None:
        accounts = job.folder / "data" / "accounts.csv"
        head, *rows = accounts.read_text(encoding="utf-8").splitlines()
        place = head.split(",").index("name")
        named = [",".join([*row.split(",")[:place], customer, *row.split(",")[place + 1 :]]) for row in rows]
        accounts.write_text("\n".join([head, *named]) + "\n", encoding="utf-8")
    job.run("generate", "--messages", str(RATE * SECONDS_MAX), "--out", "movements.json")
    job.start_command("produce", "movements.json", "--rate", str(RATE))
    job.wait_committed(RATE, 60, job.start())
    return job
