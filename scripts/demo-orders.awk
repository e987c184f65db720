# demo-orders.awk: writes the SQL that the demo feeds to sqlite3: a table of orders, two indexes, reports, changes.
#
# Usage: awk -v orders=N -f demo-orders.awk. Every order carries a JSON document, as people keep them; that is what asks
# for memory in many sizes. The same awk writes the same file each time.

function json_lines(    text, left) {
    for (left = 1 + int(4 * rand()); left > 0; left--)
        text = text sprintf("{\"item\":\"item %04d\",\"count\":%d,\"price\":%.2f}%s", int(5000 * rand()),
                            1 + int(9 * rand()), 100 * rand(), left > 1 ? "," : "")
    return "[" text "]"
}

BEGIN {
    srand(17)
    note = "deliver between nine and noon, ring twice, leave it with the neighbour if nobody is in"
    print "BEGIN;"
    print "CREATE TABLE orders(id INTEGER PRIMARY KEY, customer TEXT, day TEXT, note TEXT, lines TEXT);"
    for (i = 1; i <= orders; i++)
        printf "INSERT INTO orders VALUES(%d,'customer %05d','2024-%02d-%02d','%s','%s');\n", i, int(20000 * rand()),
               1 + int(12 * rand()), 1 + int(28 * rand()), substr(note, 1, int(80 * rand())), json_lines()
    print "COMMIT;"
    print "CREATE INDEX by_customer ON orders(customer, day);"
    print "CREATE INDEX by_day ON orders(day);"
    print "SELECT substr(day, 1, 7) AS month, count(*), round(sum((line.value ->> 'price') * (line.value ->> 'count')), 2)"
    print "  FROM orders, json_each(lines) AS line GROUP BY month;"
    print "SELECT line.value ->> 'item' AS item, count(*) AS times FROM orders, json_each(lines) AS line"
    print "  GROUP BY item ORDER BY times DESC, item LIMIT 5;"
    print "SELECT count(*), sum(length(notes))"
    print "  FROM (SELECT group_concat(note, '; ') AS notes FROM orders GROUP BY customer);"
    print "DELETE FROM orders WHERE id % 3 = 0;"
    print "UPDATE orders SET lines = json_insert(lines, '$[#]', json_object('item', 'postage', 'count', 1, 'price', 4.5))"
    print "  WHERE id % 5 = 0;"
    print "SELECT count(*), sum(json_array_length(lines)) FROM orders;"
}
