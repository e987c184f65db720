"""servers.py: programs that stay and are put under load: databases, a web server, and one that brings its own malloc.
They listen on unix sockets in the test's directory or on loopback ports, and are stopped by the test."""

import os
import re
import time

from place import Failure, answers, free_port

POSTGRES = "/usr/lib/postgresql/15/bin"


def postgresql(place):
    """initdb, the server, pgbench with four clients; the balances must agree afterwards."""
    user = place.give_to("postgres")

    def run(program, *arguments, **options):
        return place.run(f"{POSTGRES}/{program}", *arguments, user=user, **options)
    data, port = place.path("data"), "5432"
    run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8")
    reach = ("-h", place.directory, "-p", port, "-U", "postgres")
    server = place.serve(f"{POSTGRES}/postgres", "-D", data, "-p", port, "-k", place.directory, "-c",
                         "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=32MB", user=user,
                         ready=lambda: os.path.exists(place.path(f".s.PGSQL.{port}")))
    while place.run(f"{POSTGRES}/pg_isready", *reach, "-q", expect=None, user=user) or not ready(run, reach):
        time.sleep(0.1)
    run("pgbench", *reach, "-i", "-q", "-s", "2", "postgres")
    report = run("pgbench", *reach, "-c", "4", "-j", "2", "-t", "500", "postgres").decode()
    done = re.search(r"actually processed: (\S+)", report).group(1)
    queries = ("SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(bbalance) FROM pgbench_branches), "
               "(SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM pgbench_history), "
               "(SELECT count(*) FROM pgbench_history); "
               "SELECT n % 7, count(*), md5(string_agg(n::text, ',' ORDER BY n)) FROM generate_series(1, 200000) n GROUP BY 1 "
               "ORDER BY 1; SELECT count(*) FROM pg_class WHERE relkind IN ('i', 'v');")
    answer = run("psql", *reach, "-At", "-c", queries, "postgres")
    code = server.stop()
    return f"{done} transactions, ended with {code}\n".encode() + answer


def ready(run, reach):
    """Whether the database takes connections already."""
    return run("psql", *reach, "-At", "-c", "SELECT 1", "postgres", expect=None) == b"1\n"


MARIADB_WORK = """
CREATE DATABASE work; USE work;
CREATE TABLE orders(id INT PRIMARY KEY, customer VARCHAR(40), amount INT, note TEXT, KEY (customer)) ENGINE=InnoDB;
INSERT INTO orders SELECT seq, CONCAT('customer ', seq * 7919 % 1009), seq * 31 % 997, REPEAT(HEX(seq), seq % 9)
    FROM seq_1_to_30000;
SELECT COUNT(*), SUM(amount), MAX(note) FROM orders;
SELECT customer, COUNT(*), SUM(amount) AS total FROM orders GROUP BY customer ORDER BY total DESC, customer LIMIT 10;
UPDATE orders SET note = CONCAT(note, customer) WHERE id % 3 = 0;
DELETE FROM orders WHERE amount < 100;
SELECT COUNT(*), SUM(LENGTH(note)), SUM(CRC32(note)) FROM orders;
SELECT COUNT(*) FROM orders a JOIN orders b ON a.customer = b.customer AND a.amount = b.amount;
SELECT SUM(r) FROM (SELECT RANK() OVER (PARTITION BY customer ORDER BY amount) AS r FROM orders) AS ranks;
SELECT JSON_LENGTH(JSON_ARRAYAGG(JSON_OBJECT('id', id))) FROM orders;
CHECK TABLE orders;
"""


def mariadb(place):
    """A fresh database, a workload, and clients side by side."""
    user = place.give_to("mysql")
    data, unix_socket = place.path("data"), place.path("socket")
    options = (f"--datadir={data}", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M")
    place.run("mariadb-install-db", "--no-defaults", *options, "--auth-root-authentication-method=normal",
              "--skip-test-db", user=user)
    server = place.serve("mariadbd", "--no-defaults", *options, f"--socket={unix_socket}", "--skip-networking",
                         f"--pid-file={place.path('pid')}", user=user, ready=lambda: os.path.exists(unix_socket))
    client = ("mariadb", "--no-defaults", "-u", "root", f"--socket={unix_socket}", "-N", "-B")
    output = place.run(*client, text=MARIADB_WORK)
    output += place.run("sh", "-c", "for i in 1 2 3 4 5 6 7 8; do \"$@\" -e "
                        "\"SELECT $i, COUNT(*), SUM(amount * $i) FROM work.orders WHERE id % 8 < $i\" > out$i & done; "
                        "wait; cat out?", "sh", *client)
    return output + f"ended with {server.stop()}\n".encode()


NGINX_CONFIGURATION = """
daemon off; master_process on; worker_processes 2; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off; gzip on; gzip_min_length 100; gzip_types text/plain;
    client_body_temp_path {directory}/b; proxy_temp_path {directory}/p; fastcgi_temp_path {directory}/f;
    uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
    server {{ listen 127.0.0.1:{port}; root {directory}/www; location /again/ {{ proxy_pass http://127.0.0.1:{port}/; }} }}
}}
"""


def serve_nginx(place, lines, command=("nginx",)):
    """A small file and one of so many lines, by nginx as it is or behind a command; the server, and its address."""
    port = free_port()
    place.write("www/small.txt", "small\n" * 10)
    place.write("www/large.txt", "".join(f"line {i}\n" for i in range(lines)))
    place.write("nginx.conf", NGINX_CONFIGURATION.format(directory=place.directory, port=port))
    if os.geteuid() == 0:
        place.give_to("www-data")
    server = place.serve(*command, "-p", place.directory, "-c", place.path("nginx.conf"), "-e",
                         place.path("error.log"), ready=answers(port))
    return server, f"http://127.0.0.1:{port}"


def nginx(place):
    """Under load by wrk, which must see no error; then the content by curl, plain, compressed and through the proxy."""
    server, address = serve_nginx(place, lines=30000)
    for name in ("small.txt", "large.txt", "again/small.txt"):
        report = place.run("wrk", "-t1", "-c16", "-d2s", "-H", "Accept-Encoding: gzip", f"{address}/{name}").decode()
        requests = int(re.search(r"(\d+) requests in", report).group(1))
        if requests < 50 or "Socket errors" in report or "Non-2xx" in report:
            raise Failure(f"{name}: {report}")
    pages = (place.run("curl", "-sS", f"{address}/small.txt", f"{address}/again/large.txt")
             + place.run("curl", "-sS", "--compressed", f"{address}/large.txt")
             + place.run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"{address}/missing"))
    errors = [line for line in place.read("error.log").decode().splitlines() if "missing" not in line]
    return pages + f"ended with {server.stop()}, {errors}\n".encode()


def curl(place):
    """Fifty downloads side by side from Python's server, and an upload format of many parts made by hand."""
    port = free_port()
    for number in range(50):
        place.write(f"www/file{number}", f"{number} " * (number * 997 % 40000))
    place.serve("/usr/bin/python3", "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d", place.path("www"),
                ready=answers(port))
    place.run("curl", "-sS", "--parallel", "--parallel-max", "8", "-o", "got#1",
              f"http://127.0.0.1:{port}/file[0-49]")
    return place.hash(*(f"got{number}" for number in range(50)))


def redis(place):
    """Debian's redis-server is linked with jemalloc: it must be recognised, in one line, and work as ever."""
    unix_socket = place.path("redis.sock")
    server = place.serve("redis-server", "--port", "0", "--unixsocket", unix_socket, "--save", "", "--dir",
                         place.directory, ready=lambda: os.path.exists(unix_socket))
    client = ("redis-cli", "-s", unix_socket)
    place.run("redis-benchmark", "-s", unix_socket, "-q", "-n", "20000", "-c", "8", "-t", "set,get,lpush,lpop,sadd",
              "-r", "1000")
    place.run(*client, "flushall")
    script = "".join(f"SET key{i} {'v' * (i % 300)}\nRPUSH list{i % 10} item{i}\nHSET hash{i % 7} f{i} {i}\n"
                     for i in range(5000))
    place.run(*client, text=script)
    answer = place.run(*client, text="DBSIZE\nLLEN list3\nHLEN hash2\nSTRLEN key299\nLRANGE list5 0 5\n")
    code = server.stop()
    if place.is_ration() and not any("malloc" in line for line in place.said):
        raise Failure("the library said nothing of a program that brings its own malloc")
    return answer + f"ended with {code}\n".encode()
