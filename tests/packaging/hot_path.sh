#!/bin/bash
# The way that malloc and free take when the thread's cache has a block, or room for one, is short: at most 18 and 26
# instructions, no call, nothing kept on the stack, no locked instruction. x86-64 only.
#
# That way is the one that falls through: from the entry to the first ret, with no conditional jump taken.
. "${0%/*}/tally.bash"

preload=$build_directory/lib/libration-preload.so
listing=$(mktemp)
trap 'rm -f "$listing" "$listing.way"' EXIT

case $("$compiler" -dumpmachine) in
x86_64*) ;;
*)
    echo "not x86-64: nothing to look at"
    finish
    ;;
esac

objdump -d --no-show-raw-insn -M intel "$preload" >"$listing"

# The instructions of the way through the function, one a line.
hit_path() {
    local start
    start=$(nm -D --defined-only "$preload" | awk -v name="$1" '$3 == name { sub(/^0+/, "", $1); print $1 }')
    [ -n "$start" ] || { echo "no $1 in $preload"; return 1; }
    awk -v at="$start" '
        match($0, /^ +[0-9a-f]+:\t/) {
            address = $1; sub(/:/, "", address)
            text = substr($0, RLENGTH + 1); gsub(/[ \t]+/, " ", text)
            instruction[address] = text
            if (before != "") follows[before] = address
            before = address
        }
        END {
            for (steps = 0; steps < 200; steps++) {
                if (!(at in instruction)) { print "lost at", at; exit }
                text = instruction[at]
                print text
                if (text ~ /^(repz |bnd )?ret/) exit
                if (text ~ /^(bnd |notrack )?jmp [0-9a-f]+/) { split(text, word, " "); at = word[text ~ /^jmp/ ? 2 : 3] }
                else at = follows[at]
            }
        }' "$listing"
}

# Each prints the way, for where the claim fails.
ends_with_ret() { hit_path "$1" | tee "$listing.way"; tail -n 1 "$listing.way" | grep -qE '\<ret'; }
at_most() { hit_path "$1" | tee "$listing.way"; [ "$(wc -l <"$listing.way")" -le "$2" ]; }
has_none() { ! hit_path "$1" | grep -E "$2"; }

for function in malloc:18 free:26; do
    name=${function%:*}
    claim "$name's hit path ends" ends_with_ret "$name"
    claim "$name's hit path has at most ${function#*:} instructions" at_most "$name" "${function#*:}"
    claim "$name's hit path calls nothing" has_none "$name" '^(bnd |notrack )?call|jmp [^0-9a-f]|^jmp .*\['
    claim "$name's hit path keeps nothing on the stack" has_none "$name" '^(push|pop|enter|leave)|\<[er]sp\>'
    # xchg with memory locks without saying so.
    claim "$name's hit path locks nothing" has_none "$name" '^lock|^xchg .*\['
done
finish
