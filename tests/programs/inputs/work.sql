-- Tables, indexes, joins, window functions, full-text search, and large text values.
PRAGMA journal_mode = MEMORY;
CREATE TABLE orders(id INTEGER PRIMARY KEY, customer TEXT, amount INTEGER, note TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
INSERT INTO orders SELECT i, 'customer ' || (i * 7919 % 1009), i * 31 % 997, substr(hex(i * 1234567), 1, i % 20) FROM n;
CREATE INDEX by_customer ON orders(customer, amount);
SELECT count(*), sum(amount), max(note) FROM orders;
SELECT customer, count(*), sum(amount) FROM orders GROUP BY customer ORDER BY 3 DESC, 1 LIMIT 10;
SELECT sum(rank) FROM (SELECT rank() OVER (PARTITION BY customer ORDER BY amount) AS rank FROM orders);
UPDATE orders SET note = note || customer WHERE id % 3 = 0;
DELETE FROM orders WHERE amount < 100;
SELECT count(*), sum(length(note)) FROM orders;
SELECT count(*) FROM orders a JOIN orders b ON a.customer = b.customer AND a.amount = b.amount;
CREATE VIRTUAL TABLE words USING fts5(body);
INSERT INTO words SELECT note || ' ' || customer FROM orders LIMIT 20000;
SELECT count(*) FROM words WHERE words MATCH 'customer NOT 5';
SELECT length(group_concat(note, ',')), length(hex(zeroblob(1000000))) FROM orders;
SELECT json_array_length(json_group_array(json_object('id', id, 'note', note))) FROM orders;
VACUUM;
PRAGMA integrity_check;
