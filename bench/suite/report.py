"""Results as text: a table for each measure, the means, and what went wrong. Start at report().

Losses are marked: "-" behind a ratio means that even the lower end of its interval is above 1."""
from . import contests, footprint

FOOTPRINT_UNITS = {
    footprint.ONE_MALLOC: "KiB resident after one malloc", footprint.THINNED: "MiB after freeing 90 % of 200 MiB",
    footprint.REFILLED: "MiB refilled to 200 MiB", footprint.ROOM_FIRST: "% of a limited room, usable",
    footprint.ROOM_SECOND: "... again, in another size", footprint.ROOM_ASKED: "... counting asked-for bytes only",
}


def cell(results, measure, row, name, digits):
    value = results.median(measure, row, name)
    if value is None:
        return "failed" if results.samples[measure][row].get(name) else ""
    return f"{value:.{digits}f}"


def columns(rows):
    """Lines of equal columns, the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) if i == 0 else text.rjust(width)
                      for i, (text, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def versus_best(results, measure, row, subject):
    """The ratio to the best peer in words, and the peer."""
    best = results.best(measure, row, [name for name in results.peers if name != subject])
    ratio = results.ratio(measure, row, subject, best) if best else None
    if not ratio:
        return ["", best or ""]
    return [f"{ratio}{' -' if ratio.low > 1 else '  '}", best]


def table(results, measure, subject, digits, title, label=lambda row: row):
    rows = results.rows(measure)
    if not rows:
        return []
    shown = [["row", *results.names, f"{subject} / best peer", "best peer"]]
    for row in rows:
        shown.append([label(row), *(cell(results, measure, row, name, digits) for name in results.names),
                      *versus_best(results, measure, row, subject)])
    return ["", title, *columns(shown)]


def footprint_table(results):
    """Without a ratio to the best: in some of these rows more is better."""
    rows = results.rows("footprint")
    names = [*results.names, footprint.EMPTY]
    shown = [["row", *names]]
    for row in rows:
        shown.append([FOOTPRINT_UNITS[row], *(cell(results, "footprint", row, name, 1) for name in names)])
    return ["", "Footprint", *columns(shown)] if rows else []


def contest_digits(results, group, row):
    """Three that count in our figure, as far as that goes."""
    value = results.median(group.name, row, contests.SUBJECT) or 0
    return 3 if value < 10 else 1 if value < 1000 else 0


def contest_ratio(results, group, row, peer):
    ratio = results.ratio(group.name, row, contests.SUBJECT, peer)
    return f"{ratio}{' -' if ratio.low > 1 else '  '}" if ratio else ""


def contest_table(results, group):
    """A ratio to each peer: they promise different things."""
    names = contests.contender_names(group)
    shown = [["row", "unit", *names, *(f"{contests.SUBJECT} / {peer}  " for peer in group.peers)]]
    for row in results.rows(group.name):
        digits = contest_digits(results, group, row)
        shown.append([row, contests.UNITS[row], *(cell(results, group.name, row, name, digits) for name in names),
                      *(contest_ratio(results, group, row, peer) for peer in group.peers)])
    return ["", group.name.capitalize(), *columns(shown)] if shown[1:] else []


def target_table(demands):
    shown = [["target", "is", "verdict", "figure"]]
    shown += [[one.what, one.target, one.verdict, one.figure] for one in demands]
    widths = [max(len(row[i]) for row in shown) for i in range(3)]
    lines = ["  ".join([*(text.ljust(width) for text, width in zip(row, widths)), row[3]]) for row in shown]
    return ["", "Targets", *lines]


def mean_tables(results, subject):
    """Geometric means against glibc over the rows that all allocators ended well, and the subject's ratio to each."""
    if "glibc" not in results.names or not results.rows("cpu"):
        return []
    kinds = [("CPU, sensitive rows", "cpu", results.is_sensitive),
             ("CPU, other rows", "cpu", lambda row: not results.is_sensitive(row)),
             ("CPU, all rows", "cpu", lambda row: True), ("peak resident size", "resident", lambda row: True),
             ("hot path", "hot", lambda row: True)]
    against_glibc, of_subject = [["mean", *results.names]], [["mean", *results.names]]
    for title, measure, keep in kinds:
        ratios = [results.mean_ratio(measure, name, "glibc", keep) for name in results.names]
        against_glibc.append([title, *(f"{ratio.value:.3f}" if ratio else "" for ratio in ratios)])
        ratios = [results.mean_ratio(measure, subject, name, keep) for name in results.names]
        of_subject.append([title, *(str(ratio) if ratio else "" for ratio in ratios)])
    return ["", "Geometric means, glibc = 1", *columns(against_glibc),
            "", f"{subject} divided by each, with 95 % interval", *columns(of_subject)]


def trouble_lines(results):
    lines = ["round {round}, {row} under {allocator}: {trouble}".format(**one) for one in results.troubles]
    return ["", f"Runs that went wrong: {len(lines)}", *lines] if lines else ["", "Runs that went wrong: none"]


def report(results, subject, machine):
    def sensitivity(row):
        return f"{row} {'*' if results.is_sensitive(row) else ''}"

    lines = [f"{machine}; medians of {results.rounds} interleaved rounds; [95 % interval of paired ratios]",
             f"* sensitive: {results.method}"]
    lines += table(results, "cpu", subject, 3, "CPU seconds, user + system", sensitivity)
    lines += table(results, "resident", subject, 1, "Peak resident MiB", sensitivity)
    lines += table(results, "hot", subject, 1, "Hot path, CPU ns an operation")
    lines += footprint_table(results)
    for group in contests.GROUPS.values():
        lines += contest_table(results, group)
    return lines + mean_tables(results, subject) + trouble_lines(results)
