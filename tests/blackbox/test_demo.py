"""The demo as a newcomer meets it: no server, a rule that is changed between two runs, and the commands that it prints."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

# How long a command may take before its test fails.
SECONDS_MAX = 120


class Project:
    """The folder of a demo, and a shell in which the program has the name that the demo prints."""

    def __init__(self, binary, folder):
        self.folder = folder / "demo"
        names = folder / "bin"
        names.mkdir()
        (names / "realtime-processor").symlink_to(binary)
        self.environment = {**os.environ, "PATH": f"{names}:{os.environ['PATH']}"}

    def shell(self, command, expect=0):
        """Runs a command line and returns its stdout."""
        done = subprocess.run(
            ["sh", "-c", command], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            encoding="utf-8", timeout=SECONDS_MAX, check=False)  # fmt: skip
        assert done.returncode == expect, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def demo(self, expect=0):
        return self.shell(f"realtime-processor demo --messages 1500 --rate 2000 --dir {self.folder}", expect)

    def command(self, arguments):
        """Runs a command of the project that the demo leaves."""
        return self.shell(f"realtime-processor --config {self.folder}/config.yaml {arguments}")

    def edit(self, view, old, new):
        path = self.folder / "sql" / view
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{view} has no `{old}`"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.fixture
def project(binary, tmp_path):
    return Project(binary, tmp_path)


def printed(output, heading):
    """The command line that the demo prints below this heading."""
    found = re.search(rf"^{heading}.*\n((?:  .*\n)+)", output, re.MULTILINE)
    assert found, f"no command below `{heading}`:\n{output}"
    return found[1]


def reactions(output):
    """The count and the share of each reaction, as the demo prints them: `20.4 %`, or `20.4 % -> 17.9 %`."""
    rows = re.findall(r"^ (\S.*?) +\| +(\d+) \| +\d+ \| (.+ %)$", output, re.MULTILINE)
    return {name: (int(count), share) for name, count, share in rows}


def test_a_rule_is_changed_between_two_runs(project):
    """The second run in the folder shows its own rows, and the shares of the first. Each command that is printed works."""
    first = project.demo()
    assert "sqlite3" not in first and all("->" not in share for _, share in reactions(first).values()), first
    project.edit("assessed_movements.sql", "credit_score >= 300", "credit_score >= 900")
    second = project.shell(printed(first, "Change a rule"))
    for name, (_, share) in reactions(first).items():
        assert reactions(second)[name][1].startswith(f"{share} -> "), second
    before, after = (float(share) for share in re.findall(r"[\d.]+", reactions(second)["personal loan campaign"][1]))
    assert after < before / 2, second
    # The views over the sample, without a broker, have the rows that the job has written.
    asked = dict(re.findall(r"^ (\S.*?) +\| +(\d+)$", project.shell(printed(second, "Ask questions")), re.MULTILINE))
    written = {name: str(count) for name, (count, _) in reactions(second).items() if count}
    assert written and asked == written, second
    # State begins empty, and the job of `config.yaml` is that of the demo.
    state = "SELECT count(*) FILTER (WHERE movements_before = 0) AS firsts, count(DISTINCT customer) AS customers"
    load = f"\\load {project.folder}/data/sample.arrow"
    rows = project.command(f"sql --format csv -c '{load}' -c '{state} FROM db.classified_movements'")
    firsts, customers = rows.splitlines()[1].split(",")
    assert firsts == customers, rows
    assert "decode" in project.command("dead-letters list")


def test_a_run_with_a_fault_in_the_sql_keeps_what_the_run_before_has_shown(project):
    first = reactions(project.demo())
    project.edit("reactions.sql", "SELECT", "SELEC")
    project.demo(expect=78)
    assert (project.folder / "data/realtime.db").exists()
    project.edit("reactions.sql", "SELEC", "SELECT")
    # The movements are the same, and so are the rules.
    shares = {name: share for name, (_, share) in reactions(project.demo()).items()}
    assert shares == {name: f"{share} -> {share}" for name, (_, share) in first.items()}


def test_sending_at_a_rate_does_not_spin(binary, tmp_path, figure):
    """The sender waits for the next message asleep: it took a third of a core for 500 messages a second."""
    process = subprocess.Popen(
        [binary, "demo", "--for", "9s"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def ticks():
        found = [task for task in Path(f"/proc/{process.pid}/task").iterdir() if (task / "comm").read_text() == "demo-sender\n"]
        fields = (found[0] / "stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    time.sleep(4)
    before = ticks()
    time.sleep(3)
    share = (ticks() - before) / os.sysconf("SC_CLK_TCK") / 3
    figure(f"the sender takes {share:.1%} of a core")
    assert process.wait(timeout=60) == 0
    assert share < 0.15
