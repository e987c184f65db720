-- SQLite row: an in-memory ledger: generated rows, indexes, updates, joins, grouping and text functions.
CREATE TABLE account(id INTEGER PRIMARY KEY, owner TEXT, city TEXT);
CREATE TABLE entry(id INTEGER PRIMARY KEY, account INTEGER, amount INTEGER, note TEXT);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
INSERT INTO account SELECT i, 'owner-' || (i * 7919 % 5000), 'city-' || (i % 97) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120000)
INSERT INTO entry SELECT i, i * 31 % 5000 + 1, i * 104729 % 20011 - 10000, printf('payment %d for order %08x', i, i * 2654435761 % 4294967296) FROM n;
COMMIT;
CREATE INDEX entry_account ON entry(account);
CREATE INDEX entry_note ON entry(note);
UPDATE entry SET note = upper(note) || '!' WHERE id % 5 = 0;
DELETE FROM entry WHERE id % 11 = 0;
SELECT city, count(*), sum(amount), max(length(note)) FROM account JOIN entry ON entry.account = account.id GROUP BY city ORDER BY 3 DESC LIMIT 5;
SELECT count(*), length(group_concat(note, ',')) FROM entry WHERE note LIKE '%order 0%';
SELECT count(DISTINCT substr(note, -6)) FROM entry;
SELECT owner, json_group_array(json_object('id', e.id, 'amount', amount)) AS items FROM account a JOIN entry e ON e.account = a.id GROUP BY owner ORDER BY owner LIMIT 3;
SELECT sum(length(items)) FROM (SELECT json_group_array(json_object('id', id, 'note', note)) AS items FROM entry GROUP BY account);
