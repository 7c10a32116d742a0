# SPDX-License-Identifier: Apache-2.0
"""A private PostgreSQL: a cluster in a temporary folder, reached by a Unix socket only, gone with this process."""
import ctypes
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time


class PostgresError(Exception):
    pass


def find_programs():
    """The folder that holds all four programs: the newest of Debian's, else the one on PATH."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: -int(path.split("/")[4]))
    folders += os.environ.get("PATH", "").split(":")
    for folder in folders:
        if all(os.path.exists(os.path.join(folder, name)) for name in ("initdb", "postgres", "psql", "pg_isready")):
            return folder
    raise PostgresError("no PostgreSQL server found (initdb, postgres, psql): run tools/setup")


def die_with_parent():
    # A fast shutdown when we are killed: nothing stays behind. 1: PR_SET_PDEATHSIG
    ctypes.CDLL(None).prctl(1, signal.SIGINT)


class Postgres:
    """with Postgres() as server: server.run("SELECT 1") -> "1\\n" """

    def __enter__(self):
        self.programs = find_programs()
        self.folder = tempfile.mkdtemp(prefix="braid-pg-")
        self.server = None
        # PostgreSQL refuses to run as root.
        self.identity = {}
        if os.geteuid() == 0:
            for name in ("postgres", "nobody"):
                try:
                    user = pwd.getpwnam(name)
                    break
                except KeyError:
                    continue
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        data = os.path.join(self.folder, "data")
        done = subprocess.run(
            [self.programs + "/initdb", "-D", data, "-U", "braid", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
             "--no-sync"],
            cwd=self.folder, capture_output=True, text=True, **self.identity)
        if done.returncode:
            raise PostgresError("initdb: " + done.stderr.strip())
        settings = {"listen_addresses": "", "unix_socket_directories": self.folder, "fsync": "off", "full_page_writes": "off",
                    "synchronous_commit": "off", "timezone": "UTC", "log_timezone": "UTC", "max_wal_size": "4GB",
                    "autovacuum": "off", "jit": "off"}
        argv = [self.programs + "/postgres", "-D", data]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        with open(os.path.join(self.folder, "log"), "wb") as log:
            self.server = subprocess.Popen(argv, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                           preexec_fn=die_with_parent, **self.identity)
        for _ in range(300):
            ready = subprocess.run([self.programs + "/pg_isready", "-q", "-h", self.folder], check=False)
            if ready.returncode == 0:
                return
            if self.server.poll() is not None:
                break
            time.sleep(0.05)
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as log:
            raise PostgresError("PostgreSQL does not start: " + log.read()[-2000:])

    def run(self, script):
        """Runs a psql script, stopping at the first error; gives what it prints, unaligned, tuples only."""
        done = subprocess.run(
            [self.programs + "/psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U", "braid", "-d",
             "postgres", "-f", "-"],
            input=script, capture_output=True, text=True, encoding="utf-8",
            env={**os.environ, "PGTZ": "UTC", "PGCLIENTENCODING": "UTF8", "PGOPTIONS": "-c client_min_messages=warning"})
        if done.returncode:
            raise PostgresError(done.stderr.strip())
        return done.stdout

    def __exit__(self, *_):
        if self.server and self.server.poll() is None:
            self.server.send_signal(signal.SIGINT)
            try:
                self.server.wait(10)
            except subprocess.TimeoutExpired:
                self.server.send_signal(signal.SIGQUIT)
                self.server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
