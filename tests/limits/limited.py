"""limited.py: how the suite puts a program under a limit: by `ration run`, or by the library and its variables."""

import os


def add_arguments(parser):
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("--build", default=os.path.join(here, "..", "..", "build"), help="the build directory")
    parser.add_argument("--without-command", action="store_true",
                        help="preload the library with RATION_LIMIT set, instead of `ration run --limit`")


def prefix(options, limit, directory):
    """What goes before a command to limit it (limit: "64M", or "" for none); autopsies go to the directory."""
    build = os.path.abspath(options.build)
    if options.without_command:
        variables = [f"RATION_LIMIT={limit}", f"RATION_AUTOPSY={directory}"] if limit else []
        return ["env", f"LD_PRELOAD={build}/lib/libration-preload.so", *variables]
    limits = ["--limit", limit, "--quiet", "--autopsy", directory] if limit else []
    return [os.path.join(build, "bin", "ration"), "run", *limits, "--"]
