"""A private PostgreSQL: installed where it is missing, in a folder that is deleted afterwards, ended by its own process id."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30
BINARIES = Path("/usr/lib/postgresql")
# Debian starts a server of its own for each version that it installs, unless it is told not to.
NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/no-main-cluster.conf")


class Missing(Exception):
    """PostgreSQL is not there, and cannot be installed."""


def find():
    """The folder of the newest PostgreSQL's programs, or None."""

    def version(path):
        return float(path.name) if path.name.replace(".", "", 1).isdigit() else 0.0

    found = sorted((path for path in BINARIES.glob("*") if (path / "bin" / "initdb").exists()), key=version)
    return found[-1] / "bin" if found else None


def install():
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Missing("PostgreSQL is missing (hint: on Debian: apt-get install postgresql, or give --without-postgres)")
    print("differential: installing PostgreSQL", file=sys.stderr)
    NO_CLUSTER.parent.mkdir(parents=True, exist_ok=True)
    NO_CLUSTER.write_text("create_main_cluster = false\n", encoding="utf-8")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "postgresql"]):
        subprocess.run(["apt-get", *command], check=True, stdout=sys.stderr, stdin=subprocess.DEVNULL, env=environment)
    if find() is None:
        raise Missing("PostgreSQL was installed, but there is no initdb below /usr/lib/postgresql")


class Server:
    """Used as `with Server(folder, port) as address`."""

    def __init__(self, folder, port):
        self.folder = Path(folder)
        self.port = port or free_port()
        self.process = None
        # PostgreSQL does not run as root.
        self.user = "postgres" if os.geteuid() == 0 else None

    def __enter__(self):
        if find() is None:
            install()
        programs = find()
        self.data = self.make_folder()
        try:
            log = (self.data / "log").open("wb")
            common = {
                "stdin": subprocess.DEVNULL,
                "stdout": log,
                "stderr": log,
                "cwd": self.data,
                "user": self.user,
                "group": self.user,
            }
            data = self.data / "data"
            options = ["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"]
            subprocess.run([programs / "initdb", "-D", data, *options], check=True, **common)
            settings = {
                "listen_addresses": "127.0.0.1",
                "port": self.port,
                "unix_socket_directories": "",
                "fsync": "off",
                "max_connections": 40,
                "shared_buffers": "32MB",
            }
            words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
            self.process = subprocess.Popen([programs / "postgres", "-D", data, *words], **common)
            self.wait()
        except BaseException as error:
            text = (self.data / "log").read_text(errors="replace")[-2000:]
            self.__exit__()
            if isinstance(error, subprocess.CalledProcessError):
                raise Missing(f"PostgreSQL did not start:\n{text}") from error
            raise
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"

    def make_folder(self):
        """A folder that the server's user reaches: in `folder`, or among the temporary files."""
        if self.user is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix="postgres-", dir=self.folder))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            reachable = (
                subprocess.run(["test", "-x", self.folder], user=self.user, cwd="/", check=False).returncode == 0
            )
        except OSError:
            reachable = False
        made = Path(tempfile.mkdtemp(prefix="postgres-", dir=self.folder if reachable else None))
        owner = pwd.getpwnam(self.user)
        os.chown(made, owner.pw_uid, owner.pw_gid)
        return made

    def wait(self):
        end = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise Missing("PostgreSQL did not start:\n" + (self.data / "log").read_text(errors="replace")[-2000:])

    def __exit__(self, *_):
        if self.process is not None:
            # A fast shutdown: sessions are ended.
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.data, ignore_errors=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
