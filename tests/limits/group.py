"""group.py: a memory cgroup to run a program in, version 1 or 2, and what memory a group's processes have.

Start with Group. What the controller charges to a group, and so what its limit must have room for beside the program's
own memory: the kernel's memory for it (task structures, kernel stacks, page tables), every process put there (the
command that stays as the parent, too), and file pages that a process of the group was the first to read. The last are
given up before anything is killed for lack of memory, so they need no room. Swap, which would hide what is over the
limit, is turned off for the group."""

import ctypes
import errno
import os
import platform
import signal
import subprocess
import tempfile
import time

MIB = 1 << 20
KCMP = {"x86_64": 312, "aarch64": 272}.get(platform.machine())  # the number of kcmp(2)
KCMP_VM = 1
LIBC = ctypes.CDLL(None)


class Unavailable(Exception):
    """There is no memory controller that we may write to; the text says why."""


def read(*names):
    with open(os.path.join(*names), encoding="ascii", errors="replace") as file:
        return file.read()


def write(text, *names):
    with open(os.path.join(*names), "w", encoding="ascii") as file:
        file.write(str(text))


def field(text, name):
    """The number behind a name in lines of "name number"."""
    for line in text.splitlines():
        words = line.replace(":", " ").split()
        if len(words) > 1 and words[0] == name:
            return int(words[1])
    return 0


def mounts(kind, controller=None):
    """Where hierarchies of a kind are mounted that have the controller."""
    for line in read("/proc/mounts").splitlines():
        _, point, found, options = line.split()[:4]
        if found == kind and (controller is None or controller in options.split(",")):
            yield point


def own_path(controller):
    """This process's place in the hierarchy of a controller of version 1, or "" for version 2's."""
    for line in read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
    return "/"


def parents(kind, controller, named):
    """Directories in which a group might be made: this process's own, and the hierarchy's top."""
    for point in mounts(kind, named):
        for path in (own_path(controller), "/"):
            directory = os.path.join(point, path.lstrip("/"))
            if os.path.isdir(directory):
                yield directory


def make_directory(candidates, wanted_file):
    """A new directory in the first that takes one in which the wanted file appears, and can be written."""
    reason = "no such hierarchy is mounted"
    for parent in candidates:
        try:
            made = tempfile.mkdtemp(prefix="ration-limits-", dir=parent)
        except OSError as problem:
            reason = f"{parent}: {problem.strerror}"
            continue
        if os.access(os.path.join(made, wanted_file), os.W_OK):
            return made
        reason = f"{parent}: groups made there have no {wanted_file}"
        os.rmdir(made)
    raise Unavailable(reason)


class Group:
    """A cgroup whose memory is limited. As a context manager it is gone at the end, with all that ran in it."""

    def __init__(self, limit):
        self.freezer = None
        try:
            self.memory = make_directory(parents("cgroup", "memory", "memory"), "memory.limit_in_bytes")
            self.version = 1
        except Unavailable as first:
            try:
                self.memory = make_directory(parents("cgroup2", "", None), "memory.max")
                self.version = 2
            except Unavailable as second:
                raise Unavailable(f"no memory controller can be used: {first}; {second}") from None
        try:
            self.limit_memory(limit)
            self.prepare_freezing()
        except OSError as problem:
            self.close()
            raise Unavailable(f"{self.memory}: {problem.strerror}") from None

    def limit_memory(self, limit):
        if self.version == 2:
            self.set_if_there(0, "memory.swap.max")
            write(limit, self.memory, "memory.max")
            return
        write(limit, self.memory, "memory.limit_in_bytes")
        self.set_if_there(0, "memory.swappiness")
        self.set_if_there(limit, "memory.memsw.limit_in_bytes")

    def set_if_there(self, value, name):
        try:
            write(value, self.memory, name)
        except OSError:  # a kernel without swap accounting
            pass

    def prepare_freezing(self):
        """Version 2 can freeze any group; version 1 has a hierarchy for that, in which we need a group of our own."""
        if self.version == 2:
            self.freezer = self.memory
            return
        try:
            self.freezer = make_directory(parents("cgroup", "freezer", "freezer"), "freezer.state")
        except Unavailable:
            self.freezer = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def command(self, *command):
        """The command, to be run inside the group."""
        groups = {self.memory, self.freezer or self.memory}
        enter = "".join(f"echo $$ >'{group}/cgroup.procs' || exit 125; " for group in sorted(groups))
        return ["/bin/sh", "-c", enter + 'exec "$@"', "sh", *command]

    def processes(self):
        return [int(line) for line in read(self.memory, "cgroup.procs").split()]

    def oom_kills(self):
        return field(read(self.memory, "memory.oom_control" if self.version == 1 else "memory.events"), "oom_kill")

    def most(self):
        """The most that the controller ever counted, or 0 where an old kernel does not tell."""
        try:
            return int(read(self.memory, "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak"))
        except OSError:
            return 0

    def freeze(self):
        """Whether nothing in the group runs any more."""
        if self.freezer is None:
            return False
        if self.version == 1:
            write("FROZEN", self.freezer, "freezer.state")
        else:
            write(1, self.freezer, "cgroup.freeze")
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            if self.is_frozen():
                return True
            time.sleep(0.001)
        return False

    def is_frozen(self):
        if self.version == 1:
            return read(self.freezer, "freezer.state").strip() == "FROZEN"
        return field(read(self.freezer, "cgroup.events"), "frozen") == 1

    def thaw(self):
        if self.freezer is None:
            return
        if self.version == 1:
            write("THAWED", self.freezer, "freezer.state")
        else:
            write(0, self.freezer, "cgroup.freeze")

    def kill_all(self):
        deadline = time.monotonic() + 30
        while (left := self.processes()) and time.monotonic() < deadline:
            for process in left:
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.01)

    def close(self):
        self.thaw()
        self.kill_all()
        for directory in {self.memory, self.freezer} - {None}:
            remove(directory)


def remove(directory):
    """A group is busy for a moment after its last process."""
    deadline = time.monotonic() + 10
    while True:
        try:
            os.rmdir(directory)
            return
        except OSError as problem:
            if problem.errno != errno.EBUSY or time.monotonic() > deadline:
                return
            time.sleep(0.01)


def resident_alone(process):
    status = read(f"/proc/{process}/status")
    return (field(status, "RssAnon") + field(status, "RssShmem")) * 1024


def share(process):
    """What is a process's of the pages that it may share: those of a fork count once in the sum of all."""
    try:
        rollup = read(f"/proc/{process}/smaps_rollup")
    except OSError:
        return 0  # it has ended, and not been waited for
    return (field(rollup, "Pss_Anon") + field(rollup, "Pss_Shmem")) * 1024


def compare_memory(one, other):
    """kcmp(2): 0 where two processes have one address space, -1 where it can't be asked."""
    if KCMP is None:
        return -1
    return LIBC.syscall(KCMP, one, other, KCMP_VM, 0, 0)


def knows_address_spaces():
    """Whether the kernel tells if two processes have one address space; where not, each is taken to have its own."""
    return compare_memory(os.getpid(), os.getpid()) == 0


def address_spaces(processes, others):
    """One process for each address space that is none of the others'.

    A child of vfork or posix_spawn has its parent's memory until it starts its program."""
    found = list(others)
    for process in processes:
        if all(process != known and compare_memory(process, known) != 0 for known in found):
            found.append(process)
    return found[len(others):]


def resident(group, parent):
    """RssAnon + RssShmem of the group's processes but the parent; None where they could not be read at one moment.

    What one process has is read from its status. Several are stopped first, since what one gives back another may take
    between two reads, and of pages shared by fork or mapping each has its share."""
    others = [] if parent is None else [parent]
    try:
        members = address_spaces(group.processes(), others)
        if len(members) < 2:
            return resident_alone(members[0]) if members else 0
        frozen = group.freeze()
        try:
            return sum(map(share, address_spaces(group.processes(), others))) if frozen else None
        finally:
            group.thaw()
    except (OSError, IndexError):
        return None


class Run:
    """What became of a command run in a group: its exit status, what it said, the peak of its tree, and the kernel's
    figures. `supervised`: the process started is `ration run`, which stays as the parent; it is in the group, for that
    is where users have it, and counts for the controller, but not as the program's memory."""

    def __init__(self, group, command, supervised, seconds, interval=0.04, **options):
        self.peak = self.samples = 0
        self.hung = False
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            started = time.monotonic()
            with subprocess.Popen(group.command(*command), stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
                                  start_new_session=True, **options) as process:
                self.watch(group, process, supervised, started + seconds, interval)
            self.seconds = time.monotonic() - started
            output.seek(0)
            errors.seek(0)
            self.output, self.errors = output.read().decode(errors="replace"), errors.read().decode(errors="replace")
        group.kill_all()
        self.status = process.returncode
        self.oom_kills, self.most = group.oom_kills(), group.most()

    def watch(self, group, process, supervised, deadline, interval):
        while process.poll() is None:
            bytes_now = resident(group, process.pid if supervised else None)
            if bytes_now is not None:
                self.samples += 1
                self.peak = max(self.peak, bytes_now)
            if time.monotonic() > deadline:
                self.hung = True
                group.kill_all()
            time.sleep(interval)
