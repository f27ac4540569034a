"""The limit: the same rows by LOAD DATA LOCAL INFILE of MySQL's own client, one connection, in transactions of the
size, and with the rows, that this program's were."""

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

from compare.run import Failed
from compare.tables import COLUMNS, TABLE
from harness import unique

EXPORT_SECONDS_MAX = 300


class Client:
    """MySQL's client: of the services' own tree, or the machine's where the server is another one."""

    def __init__(self, database, services):
        self.database = database
        root = services / "mysql" / "root"
        self.is_in_tree = root.exists() and os.geteuid() == 0
        self.root = root if self.is_in_tree else Path("/")
        if not self.is_in_tree and not shutil.which("mysql"):
            raise Failed("MySQL's client `mysql` is not installed (hint: apt-get install mysql-client)")

    def command(self, statements):
        url = urlsplit(self.database.url)
        options = ["--local-infile=1", "--ssl-mode=DISABLED", "--get-server-public-key", "--batch", "--raw", "--quick"]
        place = [f"--host={url.hostname}", f"--port={url.port}", f"--user={unquote(url.username)}"]
        words = ["mysql", "--no-defaults", *options, "--skip-column-names", *place, self.database.name]
        return [*(["chroot", str(self.root)] if self.is_in_tree else []), *words, "-e", statements]

    @property
    def environment(self):
        return {**os.environ, "MYSQL_PWD": unquote(urlsplit(self.database.url).password or "")}


class LoadData:
    """The rows of the table, as files of one transaction each."""

    name = "LOAD DATA"

    def __init__(self, client, children, log):
        self.client, self.children, self.log = client, children, log
        self.folder = client.root / "tmp" / unique("compare")
        self.files = 0

    def export(self, batches):
        """Writes the rows that the table has now; `batches` are a run's: rows, and offsets by partition."""
        self.folder.mkdir()
        values = ", ".join(f"IFNULL({column}, '\\\\N')" for column in COLUMNS)
        for _, start, end in batches:
            ranges = (
                f"(kafka_partition = {p} AND kafka_offset >= {start.get(p, 0)} AND kafka_offset < {to})"
                for p, to in end.items()
            )
            query = f"SELECT {values} FROM {TABLE} WHERE {' OR '.join(ranges)} ORDER BY kafka_partition, kafka_offset"
            with (self.folder / f"{self.files}.tsv").open("w") as file:
                process = self.children.start(
                    self.client.command(query), stdout=file, stderr=subprocess.PIPE, env=self.client.environment
                )
                _, error = process.communicate(timeout=EXPORT_SECONDS_MAX)
            self.children.end(process)
            if process.returncode:
                raise Failed(f"mysql: {error.decode(errors='replace')}")
            self.files += 1

    def start(self):
        place = Path("/tmp") / self.folder.name
        statements = (
            f"LOAD DATA LOCAL INFILE '{place / f'{n}.tsv'}' INTO TABLE {TABLE} CHARACTER SET utf8mb4"
            f" ({', '.join(COLUMNS)})"
            for n in range(self.files)
        )
        with self.log.open("w") as log:
            return self.children.start(
                self.client.command("; ".join(statements)), stdout=log, stderr=log, env=self.client.environment
            )

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)
