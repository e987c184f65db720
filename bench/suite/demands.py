"""The targets that the project has set itself, each as one line: what, target, figure, verdict. Start at demands()."""
import dataclasses

from . import contests, footprint
from .allocators import HARDENED, LIMITED

MODERN = ("mimalloc", "jemalloc", "tcmalloc")
OTHER_TARGET = ("hot:realloc", "hot:realloc-again")  # the first is held against glibc alone, the second is shown only


@dataclasses.dataclass
class Demand:
    what: str
    target: str
    figure: str
    verdict: str  # held, level, NOT HELD, not measured


def verdict(held):
    return "held" if held else "NOT HELD"


def unmeasured(what, target):
    return Demand(what, target, "-", "not measured")


def mean_at_most(results, subject, what, measure, limit, peers, keep=lambda row: True):
    """Against the best peer's mean: the one to which the subject's ratio is highest."""
    ratios = {peer: results.mean_ratio(measure, subject, peer, keep) for peer in peers}
    ratios = {peer: ratio for peer, ratio in ratios.items() if ratio}
    target = f"<= {limit:.2f} of {peers[0] if len(peers) == 1 else 'the best peer'}"
    if not ratios:
        return unmeasured(what, target)
    best = max(ratios, key=lambda peer: ratios[peer].value)
    return Demand(what, target, f"{ratios[best]} of {best}", verdict(ratios[best].value <= limit))


def no_row_above(results, subject, limit, peers):
    what, target = "CPU, every row against its best peer", f"lower bound <= {limit:.2f}"
    ratios = {}
    for row in results.rows("cpu"):
        best = results.best("cpu", row, peers)
        ratio = best and results.ratio("cpu", row, subject, best)
        if ratio:
            ratios[row] = ratio
    if not ratios:
        return unmeasured(what, target)
    above = [f"{row} {ratio}" for row, ratio in ratios.items() if ratio.low > limit]
    worst = max(ratios, key=lambda row: ratios[row].low)
    return Demand(what, target, "; ".join(above) or f"worst: {worst} {ratios[worst]}", verdict(not above))


def bounded(results, subject, what, row, limit, at_least=False, measure="footprint"):
    target = f"{'>=' if at_least else '<='} {limit}"
    value = results.median(measure, row, subject)
    if value is None:
        ran = results.samples[measure].get(row, {}).get(subject)
        return Demand(what, target, "failed", verdict(False)) if ran else unmeasured(what, target)
    return Demand(what, target, f"{value:.2f}" if value < 10 else f"{value:.1f}", verdict(value >= limit if at_least else value <= limit))


def above_empty(results, subject):
    what, target = "KiB after one malloc, above an empty library", "<= 90"
    ours = results.median("footprint", footprint.ONE_MALLOC, subject)
    empty = results.median("footprint", footprint.ONE_MALLOC, footprint.EMPTY)
    if ours is None or empty is None:
        return unmeasured(what, target)
    return Demand(what, target, f"{ours - empty:.0f} ({ours:.0f} - {empty:.0f})", verdict(ours - empty <= 90))


def hot_row(results, subject, row, peers):
    """At or below the best peer; level if the difference is within the interval."""
    best = results.best("hot", row, peers)
    ratio = best and results.ratio("hot", row, subject, best)
    if not ratio:
        return unmeasured(row, "<= the best peer")
    held = "held" if ratio.value <= 1 else "level" if ratio.low <= 1 else "NOT HELD"
    return Demand(row, "<= the best peer", f"{ratio} of {best}", held)


def ratio_at_most(results, what, measure, row, ours, theirs, limit):
    target = f"<= {limit} of {theirs}"
    ratio = results.ratio(measure, row, ours, theirs)
    return Demand(what, target, str(ratio), verdict(ratio.value <= limit)) if ratio else unmeasured(what, target)


def every_run_ended_well(results, subject):
    what, target = "every run ends well, with the right output", "none fails"
    if subject not in results.names:
        return unmeasured(what, target)
    failed = [row for name in (subject, HARDENED, LIMITED) for row in results.failed_rows(name)]
    figure = ", ".join(failed) if failed else f"none in {results.rounds} rounds"
    return Demand(what, target, figure, verdict(not failed))


def demands(results, subject):
    peers = [name for name in results.peers if name != subject]
    modern = [name for name in MODERN if name in peers]

    def others(row):
        return not results.is_sensitive(row)

    found = [every_run_ended_well(results, subject)]
    sensitive = results.is_sensitive
    found.append(mean_at_most(results, subject, "CPU, mean of the sensitive rows", "cpu", 0.90, peers, sensitive))
    found.append(mean_at_most(results, subject, "CPU, mean of the other rows", "cpu", 1.02, peers, others))
    found.append(no_row_above(results, subject, 1.10, peers))
    found.append(mean_at_most(results, subject, "peak resident size, mean", "resident", 0.85, modern))
    found.append(mean_at_most(results, subject, "peak resident size, mean", "resident", 1.05, ["glibc"]))
    found.append(bounded(results, subject, "KiB after one malloc", footprint.ONE_MALLOC, 1230))
    found.append(above_empty(results, subject))
    found += [hot_row(results, subject, row, peers) for row in results.rows("hot") if row not in OTHER_TARGET]
    found.append(ratio_at_most(results, "realloc by 1.5 up to 16 MiB", "hot", "hot:realloc", subject, "glibc", 1.5))
    found.append(bounded(results, subject, "MiB after freeing 90 % of 200", footprint.THINNED, 120))
    found.append(bounded(results, subject, "MiB refilled to 200", footprint.REFILLED, 300))
    found.append(bounded(results, subject, "% of the room under ulimit -v", footprint.ROOM_FIRST, 95, at_least=True))
    found.append(bounded(results, subject, "% of it again, in another size", footprint.ROOM_SECOND, 95, at_least=True))
    found.append(bounded(results, subject, "ms until 8 threads' 8 MiB are taken", contests.DENY, 1, measure="heaps"))
    found.append(of_default(results, subject, "CPU with RATION_HARDEN=1, mean of all rows", HARDENED, 1.30))
    found.append(of_default(results, subject, "CPU with a limit never met, mean of all rows", LIMITED, 1.03))
    return found


def of_default(results, subject, what, variant, limit):
    target = f"<= {limit:.2f} of the default"
    ratio = results.mean_ratio("cpu", variant, subject)
    return Demand(what, target, str(ratio), verdict(ratio.value <= limit)) if ratio else unmeasured(what, target)
