# Arrays, associative arrays, substitutions, and many short-lived children.
state=9
declare -A counts
for ((i = 0; i < 20000; i++)); do
    state=$(((state * 1103515245 + 12345) & 0x7fffffff))
    word=w$(((state >> 8) % 700))
    counts[$word]=$((${counts[$word]:-0} + 1))
done
echo "${#counts[@]}"
for word in "${!counts[@]}"; do echo "$word ${counts[$word]}"; done | sort | head -20
list=()
for ((i = 0; i < 20000; i++)); do list+=("item $i of a list"); done
joined="${list[*]}"
echo "${#joined}" "${joined:100000:40}"
short="${joined//item/i}"
echo "${#short}"
for i in {1..100}; do echo "$(echo "$i" | tr 0-9 a-j)"; done | paste -sd ' '
fib() { if (($1 < 2)); then echo "$1"; else echo $(($(fib $(($1 - 1))) + $(fib $(($1 - 2))))); fi; }
fib 9
