"""This program's side: a project folder as its users have one, and the program run in it."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from compare.tables import TABLE
from compare.topic import ACCOUNT_COLUMNS, accounts
from harness import ROOT, unique, yaml_of

HERE = Path(__file__).resolve().parent
VIEWS = HERE / "sql"
SCHEMA = ROOT / "schemas" / "customer.avsc"
# An output that never has a row, and makes the program compute the view before it whole.
NOTHING = "SELECT * FROM classified_movements WHERE reaction = 'none of these'\n"
# With these the shipped state is kept, beside the rows.
STATE_VIEWS = ("account_history", "next_account_state")


@dataclass
class Project:
    """What is different from the plain job."""

    is_into_nothing: bool = False
    has_state: bool = False
    config: dict = field(default_factory=dict)


def write_accounts(path, seed):
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(ACCOUNT_COLUMNS) + "\n")
        file.writelines(",".join(map(str, row)) + "\n" for row in accounts(seed))


class Ours:
    name = "realtime-processor"

    def __init__(self, binary, kafka, database, seed, folder, children):
        self.kafka, self.database, self.folder, self.children = kafka, database, folder, children
        folder.mkdir(parents=True)
        # A copy: a build beside the comparison does not change what is measured.
        self.binary = folder / "realtime-processor"
        shutil.copy2(binary, self.binary)
        self.accounts = folder / "accounts.csv"
        write_accounts(self.accounts, seed)

    def project(self, topic, project):
        """The folder of a job of its own, whose offsets nobody else has."""
        job = unique("compare")
        folder = self.folder / job
        (folder / "sql").mkdir(parents=True)
        for view in sorted(VIEWS.glob("*.sql")):
            shutil.copy(view, folder / "sql")
        config = {
            "kafka_server": self.kafka,
            "kafka_topic": topic,
            "avro_schema": str(SCHEMA),
            "job": job,
            "database": self.database.url,
            "reference_tables": {"accounts": {"file": str(self.accounts), "key": "customer_id", "matches": "customer"}},
            "outputs": {TABLE: {"table": TABLE, "mode": "append"}},
        }
        if project.is_into_nothing:
            (folder / "sql" / "nothing.sql").write_text(NOTHING, encoding="utf-8")
            config["outputs"] = {"nothing": {"table": "nothing", "mode": "append"}}
        if project.has_state:
            for view in STATE_VIEWS:
                shutil.copy(ROOT / "sql" / f"{view}.sql", folder / "sql")
            config["state_tables"] = {"account_state": {"view": "next_account_state", "key": "customer"}}
        (folder / "config.yaml").write_text(yaml_of({**config, **project.config}), encoding="utf-8")
        return OurJob(self, job, folder)


class OurJob:
    def __init__(self, side, name, folder):
        self.side, self.name, self.folder = side, name, folder

    def start(self):
        with self.out.open("w") as out, self.log.open("w") as log:
            return self.side.children.start(
                [str(self.side.binary), "run", "--progress", "json"], cwd=self.folder, stdout=out, stderr=log
            )

    @property
    def out(self):
        return self.folder / "progress.jsonl"

    @property
    def log(self):
        return self.folder / "log.txt"

    def refusal(self):
        """Why `check` refuses the project, or None."""
        process = self.side.children.start(
            [str(self.side.binary), "check"], cwd=self.folder, stdout=self.log.open("w"), stderr=self.log.open("a")
        )
        code = process.wait(60)
        self.side.children.end(process)
        return None if code == 0 else self.log.read_text(encoding="utf-8")

    def batches(self, topic):
        """For each batch its rows, and where it starts and ends on each partition."""
        found = []
        for line in self.out.read_text(encoding="utf-8").splitlines():
            progress = json.loads(line)
            if progress["numInputRows"]:
                source = next(s for s in progress["sources"] if s["topic"] == topic)
                found.append((progress["numInputRows"], source["startOffset"], source["endOffset"]))
        return found

    def forget(self):
        """Leaves nothing of it in the database."""
        self.side.database.execute("DELETE FROM realtime_offsets WHERE job = %s", self.name)
        shutil.rmtree(self.folder)
