# SPDX-License-Identifier: Apache-2.0
"""What the demos stand on: a temporary folder, a private nats-server, a worker, and the command; all gone at the end."""
import atexit
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BRAID = os.environ.get("BRAID", os.path.join(ROOT, "build", "release", "braid"))
FLIGHTS = os.path.join(ROOT, "examples", "flights")
PATIENCE_S = 60

COLOURS = ("\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[36m", "\033[0m")
BOLD, DIM, GREEN, RED, CYAN, PLAIN = COLOURS if sys.stdout.isatty() else ("",) * len(COLOURS)
BEGIN = time.monotonic()


def say(text, style=""):
    print(f"{DIM}{time.monotonic() - BEGIN:5.1f} s{PLAIN}  {style}{text}{PLAIN}", flush=True)


class Failure(Exception):
    pass


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1: PR_SET_PDEATHSIG


def check_built():
    if not os.path.exists(BRAID):
        sys.exit(f"demo: no {os.path.relpath(BRAID)}: run make build")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


class Stage:
    """pipeline: the SQL file that the worker runs, with these flags."""

    def __init__(self, pipeline, *flags):
        self.pipeline, self.flags = pipeline, flags
        self.folder = tempfile.mkdtemp(prefix="braid-demo-")
        self.processes = {}
        self.url = None
        atexit.register(self.close)

    def start(self, name, argv, **options):
        log = open(os.path.join(self.folder, name + ".log"), "ab")
        options = {"stdin": subprocess.DEVNULL, "stdout": log, **options}
        process = subprocess.Popen(argv, stderr=log, preexec_fn=die_with_parent, cwd=self.folder, **options)
        log.close()
        self.processes[name] = process
        return process

    def stop(self, name, how=signal.SIGTERM):
        process = self.processes.pop(name, None)
        if process and process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def log_of(self, name):
        try:
            with open(os.path.join(self.folder, name + ".log"), encoding="utf-8", errors="replace") as file:
                return file.read()[-2000:]
        except FileNotFoundError:
            return ""

    def close(self):
        for name in list(reversed(self.processes)):
            self.stop(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def braid(self, *arguments, status=0):
        done = subprocess.run([BRAID, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=PATIENCE_S, env={**os.environ, "NATS_URL": self.url or ""})
        if done.returncode != status:
            raise Failure(f"braid {' '.join(arguments)}: exit status {done.returncode}\n{done.stdout}{done.stderr.strip()}")
        return done.stdout

    def start_server(self):
        program = subprocess.run([os.path.join(ROOT, "tools", "nats-server")], capture_output=True, text=True, check=False)
        if program.returncode:
            raise Failure(program.stderr)
        config = os.path.join(self.folder, "nats.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f'listen: "127.0.0.1:-1"\nports_file_dir: "{self.folder}"\n'
                       f'jetstream {{ store_dir: "{self.folder}/jetstream" }}\n')
        process = self.start("nats-server", [program.stdout.strip(), "-c", config])
        ports = os.path.join(self.folder, f"nats-server_{process.pid}.ports")
        for _ in range(200):
            if os.path.exists(ports):
                with open(ports, encoding="utf-8") as file:
                    text = file.read()
                if text.strip().endswith("}"):
                    self.url = json.loads(text)["nats"][0]
                    return
            if process.poll() is not None:
                break
            time.sleep(0.05)
        raise Failure("nats-server does not start:\n" + self.log_of("nats-server"))

    def start_worker(self):
        """Starts it and waits until it answers; gives its status."""
        process = self.start("worker", [BRAID, "run", self.pipeline, *self.flags, "--server", self.url,
                                        "--data", self.folder + "/state"])
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            status = self.status()
            if status:
                return status
            if process.poll() is not None:
                break
            time.sleep(0.05)
        raise Failure("the worker does not start:\n" + self.log_of("worker"))

    def kill_worker(self):
        """SIGKILL; gives the process id that it had."""
        pid = self.processes["worker"].pid
        self.stop("worker", signal.SIGKILL)
        return pid

    def status(self):
        """None while no worker answers."""
        try:
            return json.loads(self.braid("status", self.pipeline, "--json"))
        except (Failure, ValueError):
            return None

    def start_publishing(self, events, rate):
        path = os.path.join(self.folder, "events.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(event) + "\n" for event in events)
        return self.start("publisher", [BRAID, "publish", self.pipeline, path, "--rate", str(rate), "--server", self.url])


def compare(name, want, got):
    """Compares views, {name: JSON lines}, and says what it finds; gives the number of differences."""
    import rows

    different = 0
    for view, lines in want.items():
        missing, extra = rows.differences(lines, got.get(view, []))
        different += len(missing) + len(extra)
        if missing or extra:
            say(f"{view}: {len(missing)} rows missing, {len(extra)} too many", RED)
            for line in missing[:3]:
                print("          missing", rows.show(line["row"]))
            for line in extra[:3]:
                print("          extra  ", rows.show(line["row"]))
    if not different:
        say(f"{name}: {len(want)} views, {sum(map(len, want.values())):,} rows, the same as PostgreSQL's", GREEN)
    return different
