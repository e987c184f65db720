# Associative arrays and strings.
BEGIN {
    state = 31
    for (i = 0; i < 300000; i++) {
        word = ""
        for (j = 1 + draw(6); j > 0; j--) word = word sprintf("%c", 97 + draw(6))
        counts[word]++
    }
    n = asorti(counts, names)
    print n, names[1], names[n], counts[names[1]]
    for (i = 1; i <= n; i++) all = all " " names[i]
    print length(all), gsub(/a+b/, "-", all), length(all)
    for (i = 0; i < 200000; i++) {
        table[i * 7919 % 10007][i % 13] = i "x"
        if (i % 3 == 0) delete table[i * 31 % 10007]
    }
    print length(table)
}
function draw(n) {
    state = (state * 16807) % 2147483647
    return int(state / 7) % n
}
