"""place.py: where a program under test runs: a directory of its own, a fixed environment, and the library to preload.

Start with Place.run; Server is for programs that stay. Everything a program leaves behind is stopped and removed."""

import hashlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SECONDS = 170
INPUTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inputs")


class Failure(Exception):
    """The program did not do what it does on plain libc."""


class Place:
    """A program's surroundings. With an empty library it is libc's malloc that runs."""

    def __init__(self, library, deadline=SECONDS):
        self.library = library
        self.directory = tempfile.mkdtemp(prefix="programs-")
        os.chmod(self.directory, 0o755)
        self.deadline = time.monotonic() + deadline
        self.servers = []
        self.said = []  # lines of the library's own

    def environment(self, extra=None):
        variables = {
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": self.directory,
            "TMPDIR": self.directory,
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "SOURCE_DATE_EPOCH": "1700000000",
        }
        variables.update({name: value for name, value in os.environ.items() if name.startswith("RATION_")})
        variables.pop("RATION_PRELOAD", None)
        variables.update(extra or {})
        if self.library:
            variables["LD_PRELOAD"] = self.library
        return variables

    def is_ration(self):
        return "ration" in os.path.basename(self.library)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def input(self, name):
        """A copy of a file from inputs/, under the same path in every run."""
        shutil.copy(os.path.join(INPUTS, name), self.path(name))
        return name

    def write(self, name, text):
        data = text.encode() if isinstance(text, str) else text
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as file:
            file.write(data)
        return name

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def left(self):
        return max(1, self.deadline - time.monotonic())

    def note(self, errors):
        """Keeps what the library said on descriptor 2; the loader's complaint that it isn't there is a failure."""
        for line in errors.decode(errors="replace").splitlines():
            if line.startswith("ration:"):
                self.said.append(line)
            if "LD_PRELOAD cannot be preloaded" in line:
                raise Failure(line)

    def run(self, *command, text=None, variables=None, user=None, expect=0):
        """Runs a command to its end and gives what it wrote to standard output."""
        with subprocess.Popen(command, cwd=self.directory, env=self.environment(variables), user=user,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              start_new_session=True) as process:
            try:
                output, errors = process.communicate((text or "").encode(), timeout=self.left())
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                raise Failure(f"{command[0]} took too long") from None
        self.note(errors)
        if expect is not None and process.returncode != expect:
            end = errors.decode(errors="replace").splitlines()[-8:]
            raise Failure(f"{' '.join(command)[:200]} ended with {process.returncode}: " + " / ".join(end))
        return output

    def hash(self, *names):
        """Names and SHA-256 of files, one per line."""
        return "".join(f"{name} {hashlib.sha256(self.read(name)).hexdigest()}\n" for name in names).encode()

    def serve(self, *command, ready, user=None, variables=None):
        server = Server(self, command, user, variables)
        self.servers.append(server)
        server.wait_until(ready)
        return server

    def give_to(self, user):
        """The directory becomes the user's; None where this process is that user already, or may not change."""
        if os.geteuid() != 0:
            return None
        shutil.chown(self.directory, user)
        return pwd.getpwnam(user).pw_uid

    def close(self):
        for server in self.servers:
            server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class Server:
    """A process that stays until it is stopped; it must have loaded the library, and must end well."""

    def __init__(self, place, command, user, variables):
        self.place = place
        self.errors = open(place.path(f"server-{len(place.servers)}.log"), "wb+")
        self.process = subprocess.Popen(command, cwd=place.directory, env=place.environment(variables), user=user,
                                        stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors,
                                        start_new_session=True)

    def log(self):
        self.errors.seek(0)
        return self.errors.read()

    def wait_until(self, ready):
        while not ready():
            if self.process.poll() is not None:
                raise Failure(f"the server ended at once: {self.log()[-600:].decode(errors='replace')}")
            if time.monotonic() > self.place.deadline:
                raise Failure("the server did not come up")
            time.sleep(0.05)
        if self.place.library:
            with open(f"/proc/{self.process.pid}/maps", encoding="ascii", errors="replace") as maps:
                if os.path.basename(self.place.library) not in maps.read():
                    raise Failure("the server runs without the library")

    def stop(self, with_signal=signal.SIGTERM, seconds=30):
        """Asks the server to end; gives its exit code, or None where it had to be killed."""
        code = self.process.poll()
        if code is None:
            self.process.send_signal(with_signal)
            try:
                code = self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        if not self.errors.closed:
            self.place.note(self.log())
            self.errors.close()
        return code


def free_port():
    """A loopback port that nobody has at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def answers(port):
    """A function that tells whether someone listens at the port."""
    def ready():
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0
    return ready
