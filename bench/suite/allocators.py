"""Which allocators run: ours, Debian's peers, and any that the command line adds. Start at chosen()."""
import dataclasses
import glob
import os
import subprocess

SUBJECT = "ration"
HARDENED = "ration-hardened"
LIMITED = "ration-limited"  # by the command, with a limit that is never met
SYSTEM = "glibc"
DEBIAN = {  # name: (package, file below the library directory)
    "mimalloc": ("libmimalloc2.0", "libmimalloc.so.2"),
    "jemalloc": ("libjemalloc2", "libjemalloc.so.2"),
    "tcmalloc": ("libtcmalloc-minimal4", "libtcmalloc_minimal.so.4"),
}


@dataclasses.dataclass
class Allocator:
    name: str
    library: str = ""  # "" is libc's own malloc
    environment: dict = dataclasses.field(default_factory=dict)
    before: tuple = ()  # goes before the command
    every: int = 1  # runs in one round of this many
    extra: bool = False  # shown, but not a peer that the demands name


def library_directories():
    triplet = subprocess.run(["cc", "-print-multiarch"], capture_output=True, text=True).stdout.strip()
    return [f"/usr/lib/{triplet}", "/usr/lib", "/usr/local/lib"]


def find_debian(file_name):
    for directory in library_directories():
        found = sorted(glob.glob(os.path.join(directory, file_name)))
        if found:
            return found[0]
    return None


def parse_peer(text):
    """NAME=PATH.so[,VARIABLE=VALUE ...] as an Allocator."""
    name, separator, rest = text.partition("=")
    path, *settings = rest.split(",")
    if not separator or not name or not path or any("=" not in setting for setting in settings):
        raise SystemExit(f"--peer wants NAME=PATH.so[,VARIABLE=VALUE], not '{text}'")
    if not os.path.exists(path):
        raise SystemExit(f"--peer {name}: there is no file {path}")
    return Allocator(name, os.path.abspath(path), dict(setting.split("=", 1) for setting in settings), extra=True)


def chosen(our_library, our_command, extra_peers, missing):
    """The allocators in the order of the tables. What is not installed is added to `missing` in words."""
    result = []
    if os.path.exists(our_library):
        result.append(Allocator(SUBJECT, os.path.abspath(our_library)))
        result.append(Allocator(HARDENED, os.path.abspath(our_library), {"RATION_HARDEN": "1"}, every=3, extra=True))
        limited = (os.path.abspath(our_command), "run", "--quiet", "--limit", "16GiB", "--")
        result.append(Allocator(LIMITED, before=limited, every=3, extra=True))
    else:
        missing.append(f"{SUBJECT}: {our_library} is not built; the peers run alone")
    result.append(Allocator(SYSTEM))
    for name, (package, file_name) in DEBIAN.items():
        path = find_debian(file_name)
        if path:
            result.append(Allocator(name, path))
        else:
            missing.append(f"{name}: install {package}")
    return result + [parse_peer(text) for text in extra_peers]
