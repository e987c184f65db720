# Grows, sorts and drops the containers that Python programs live on; prints sums that depend on all of it.
import collections
import hashlib
import json
import random
import threading

random.seed(7)
words = ["".join(random.choices("abcdefgh", k=random.randint(2, 9))) for _ in range(150000)]
counts = collections.Counter(words)
print(len(counts), sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:5])

tree = {}
for word in words:
    node = tree
    for letter in word:
        node = node.setdefault(letter, {})
    node["end"] = node.get("end", 0) + 1
text = json.dumps(tree, sort_keys=True)
print(len(text), hashlib.sha256(text.encode()).hexdigest(), json.loads(text) == tree)

results = [0] * 4


def work(number):
    table = {}
    for i in range(40000):
        table[i * 7919 % 10007] = str(i) * (i % 13)
        if i % 3 == 0:
            table.pop(i * 31 % 10007, None)
    results[number] = sum(map(len, table.values()))


threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(results)

buffer = bytearray()
for i in range(200000):
    buffer += b"%d," % i
    if len(buffer) > 500000:
        del buffer[:250000]
print(len(buffer), hashlib.md5(buffer).hexdigest())
