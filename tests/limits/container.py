"""container.py: containers that runc makes (github.com/opencontainers/runtime-spec), for programs that are told what to do.

Start with Pod: the group that the containers' groups are below, version 1 or 2. A container sees this machine's /usr and
the build tree, and has namespaces of its own; its group stays until the end, so that the kernel's figures can be read
after its program has ended."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time

import group
from group import MIB, Group

SECONDS = 300
SEEN = ("/bin", "/lib", "/lib64", "/usr")

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "taker.py"), encoding="ascii") as source:
    TAKER = ("/usr/bin/python3", "-S", "-c", source.read())


def runc(*words):
    """What it prints."""
    done = subprocess.run(["runc", *words], capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"runc {words[0]}: {done.stderr.strip()}")
    return done.stdout


class Taker:
    """A process that runs taker.py, or another program."""

    def __init__(self, command):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True)

    def ask(self, *words):
        """Has it do something: how many bytes it then holds, or None where it has ended."""
        try:
            self.process.stdin.write(" ".join(map(str, words)) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        answer = self.process.stdout.readline()
        return int(answer) * MIB if answer else None

    def end(self):
        """Waits for its end: its exit status."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        return self.process.wait(SECONDS)

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def close(self):
        self.process.kill()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.errors.close()


class Pod:
    """As a context manager it is gone at the end, with its containers."""

    def __init__(self, build, limit):
        self.build = build
        self.takers = []
        self.places = set()  # of its group in all hierarchies: runc makes them
        self.group = Group(limit)
        self.directory = tempfile.mkdtemp(prefix="containers-")

    def path_of(self, name):
        """What a specification calls the group of a container. In version 1, a path that is not absolute is below our own
        in each hierarchy; in version 2 we have none below which there is memory to share out."""
        first = self.group.version == 1
        for point in group.mounts("cgroup" if first else "cgroup2", "memory" if first else None):
            if self.group.memory.startswith(point + "/"):
                path = os.path.relpath(self.group.memory, point)
                if first and os.path.dirname(path) == group.own_path("memory").strip("/"):
                    return os.path.join(os.path.basename(path), name)
                return os.path.join("/", path, name)
        raise RuntimeError(f"{self.group.memory} is below no mount")

    def container(self, *command, limit, own_view=True):
        made = Container(self, f"c{len(self.takers)}", command, limit, own_view)
        made.begin()
        return made

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for taker in self.takers:
            taker.close()
        self.group.close()
        for place in self.places - {self.group.memory}:
            group.remove(place)
        shutil.rmtree(self.directory)


class Container(Taker):
    """`own_view`: its groups are in a namespace of their own, as runtimes have it in version 2; else they are mounted
    from the host's, as in version 1."""

    def __init__(self, pod, name, command, limit, own_view):
        self.pod = pod
        self.id = os.path.basename(pod.directory) + name
        self.bundle = os.path.join(pod.directory, name)
        os.makedirs(os.path.join(self.bundle, "rootfs", "tmp"))
        runc("spec", "--bundle", self.bundle)
        self.configure(command, limit, pod.path_of(name), own_view)
        super().__init__(["runc", "run", "--keep", "--bundle", self.bundle, self.id])
        pod.takers.append(self)

    def configure(self, command, limit, path, own_view):
        place = os.path.join(self.bundle, "config.json")
        with open(place, encoding="utf-8") as file:
            settings = json.load(file)
        settings["process"].update(args=command, terminal=False)
        settings["root"]["readonly"] = False
        settings["mounts"] += [{"destination": directory, "type": "bind", "options": ["rbind", "ro"],
                                "source": os.path.realpath(directory)}
                               for directory in (*SEEN, self.pod.build) if os.path.isdir(directory)]
        linux = settings["linux"]
        linux["cgroupsPath"] = path
        linux["resources"]["memory"] = {"limit": limit}
        linux["namespaces"] = [one for one in linux["namespaces"] if one["type"] != "cgroup"]
        linux["namespaces"] += [{"type": "cgroup"}] if own_view else []
        with open(place, "w", encoding="utf-8") as file:
            json.dump(settings, file)

    def begin(self):
        """Returns when it runs, and its groups are known."""
        while True:
            with contextlib.suppress(RuntimeError):
                state = json.loads(runc("state", self.id))
                if state["status"] == "running":
                    break
            if self.process.poll() is not None:
                raise RuntimeError(f"runc run: {self.said().strip()}")
            time.sleep(0.05)
        self.first_process = state["pid"]
        self.note_groups()

    def note_groups(self):
        for line in group.read(f"/proc/{self.first_process}/cgroup").splitlines():
            _, controllers, path = line.split(":", 2)
            for point in group.mounts("cgroup" if controllers else "cgroup2", controllers.split(",")[0] or None):
                place = os.path.dirname(os.path.join(point, path.lstrip("/")))
                if os.path.basename(place) == os.path.basename(self.pod.group.memory):
                    self.pod.places.add(place)
        self.memory = os.path.join(self.pod.group.memory, os.path.basename(self.bundle))

    def neighbour(self):
        """Another process in its group."""
        made = Taker(["runc", "exec", self.id, *TAKER])
        self.pod.takers.append(made)
        return made

    def run(self, *command):
        """What another process says."""
        return runc("exec", self.id, *command)

    def figure(self, first, second):
        """A file of its group by its name in version 1, and in version 2."""
        return group.read(self.memory, first if self.pod.group.version == 1 else second)

    def oom_kills(self):
        return group.field(self.figure("memory.oom_control", "memory.events"), "oom_kill")

    def set_limit(self, limit, inner=""):
        name = "memory.limit_in_bytes" if self.pod.group.version == 1 else "memory.max"
        group.write(limit, self.memory, inner, name)

    def move_into(self, inner):
        """All that is in its group goes into a new one within that."""
        os.mkdir(os.path.join(self.memory, inner))
        for process in group.read(self.memory, "cgroup.procs").split():
            group.write(process, self.memory, inner, "cgroup.procs")

    def share_out(self):
        """Its groups within can have limits. In version 2 they are without a controller as long as a process is beside them."""
        if self.pod.group.version == 2:
            group.write("+memory", self.memory, "cgroup.subtree_control")

    def wait_for_looks(self, count=30):
        """Until the first process has slept and come back so often: `ration run` looks at its groups when it does."""
        def waits():
            return group.field(group.read(f"/proc/{self.first_process}/status"), "voluntary_ctxt_switches")
        before = waits()
        while waits() < before + count:
            time.sleep(0.1)

    def close(self):
        with contextlib.suppress(RuntimeError):
            runc("delete", "--force", self.id)
        super().close()
