"""Spark's side: what it needs is installed into the services' folder, and its job is run with its own Python."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from compare.ours import SCHEMA, VIEWS
from compare.tables import TABLE
from harness import unique

HERE = Path(__file__).resolve().parent
MASTER = "local[2]"
# At most; a tenth of the messages where there are fewer, so that there is something after the warm-up.
MAX_OFFSETS_PER_TRIGGER = 200_000
# Rows of a statement, once they are rewritten to one.
JDBC_BATCH_ROWS = 10_000
# Those that PySpark does not bring along.
PACKAGES = (
    "spark-sql-kafka-0-10_2.13",
    "spark-token-provider-kafka-0-10_2.13",
    "kafka-clients",
    "commons-pool2",
    "spark-avro_2.13",
    "mysql-connector-j",
)


def install(services, say):
    """PySpark in a virtual environment and the JVM packages beside it, where they are not there yet."""
    home = services / "spark"
    wanted = (HERE / "requirements.txt").read_text() + (HERE / "pom.xml").read_text() + " ".join(PACKAGES)
    note = home / "installed.txt"
    if note.exists() and note.read_text() == wanted:
        return home
    say("installing Spark")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    quiet = {"check": True, "stdin": subprocess.DEVNULL, "stdout": sys.stderr}
    subprocess.run([sys.executable, "-m", "venv", home / "python"], **quiet)
    pip = [home / "python" / "bin" / "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", HERE / "requirements.txt"], **quiet)
    copy = ["mvn", "-q", "-B", "-f", HERE / "pom.xml", "dependency:copy-dependencies"]
    chosen = [f"-DincludeArtifactIds={','.join(PACKAGES)}", f"-DoutputDirectory={home / 'jars'}"]
    subprocess.run([*copy, *chosen], **quiet)
    note.write_text(wanted)
    return home


class Spark:
    name = "Spark"

    def __init__(self, home, kafka, database, accounts, folder, children, messages):
        self.home, self.kafka, self.database, self.accounts = home, kafka, database, accounts
        self.folder, self.children = folder, children
        self.max_offsets_per_trigger = min(MAX_OFFSETS_PER_TRIGGER, max(1, messages // 10))
        folder.mkdir(parents=True)

    def project(self, topic, project):
        return SparkJob(self, topic, project)


class SparkJob:
    def __init__(self, side, topic, project):
        self.side, self.topic, self.project = side, topic, project
        self.folder = side.folder / unique("compare")
        self.folder.mkdir()

    def start(self, total=0):
        side = self.side
        options = {
            "master": MASTER,
            "jars": ",".join(map(str, sorted((side.home / "jars").glob("*.jar")))),
            "kafka": side.kafka,
            "topic": self.topic,
            "schema": str(SCHEMA),
            "accounts": str(side.accounts),
            "views": str(VIEWS),
            "checkpoint": str(self.folder / "checkpoint"),
            "max_offsets_per_trigger": side.max_offsets_per_trigger,
            "jdbc": None if self.project.is_into_nothing else self._jdbc(),
            "total": total,
        }
        environment = {
            **{k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            "TZ": "UTC",
            "PYSPARK_PYTHON": str(self.python),
            "SPARK_LOCAL_IP": "127.0.0.1",
        }
        with self.out.open("w") as out, self.log.open("w") as log:
            return side.children.start(
                [str(self.python), str(HERE / "job.py"), json.dumps(options)],
                cwd=self.folder,
                env=environment,
                stdout=out,
                stderr=log,
            )

    def _jdbc(self):
        url = urlsplit(self.side.database.url)
        settings = "rewriteBatchedStatements=true&sslMode=DISABLED&allowPublicKeyRetrieval=true&connectionTimeZone=UTC"
        return {
            "url": f"jdbc:mysql://{url.hostname}:{url.port}{url.path}?{settings}",
            "driver": "com.mysql.cj.jdbc.Driver",
            "user": unquote(url.username),
            "password": unquote(url.password or ""),
            "dbtable": TABLE,
            "batchsize": str(JDBC_BATCH_ROWS),
        }

    @property
    def python(self):
        return self.side.home / "python" / "bin" / "python"

    @property
    def out(self):
        return self.folder / "progress.jsonl"

    @property
    def log(self):
        return self.folder / "log.txt"

    def forget(self):
        shutil.rmtree(self.folder)
