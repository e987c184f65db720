# Python row: JSON in and out, dictionaries, objects, strings and sorting, with PYTHONMALLOC=malloc.
import json
import random
import re


class Order:
    def __init__(self, number, chance):
        self.number = number
        self.lines = [{"article": "A%05d" % chance.randrange(20000), "quantity": chance.randrange(1, 50),
                       "price": chance.randrange(100, 99999) / 100} for _ in range(chance.randrange(1, 9))]
        self.note = " ".join(chance.choice(WORDS) for _ in range(chance.randrange(3, 30)))

    def total(self):
        return sum(line["quantity"] * line["price"] for line in self.lines)


WORDS = "deliver before noon call customer fragile gate ring twice left parcel return".split()


def main():
    chance = random.Random(1)
    orders = [Order(number, chance) for number in range(12000)]
    text = json.dumps([vars(order) for order in orders])
    back = json.loads(text)
    by_article = {}
    for order in back:
        for line in order["lines"]:
            by_article.setdefault(line["article"], []).append((order["number"], line["quantity"]))
    counts = {}
    for order in back:
        for word in re.findall(r"\w+", order["note"]):
            counts[word.upper()] = counts.get(word.upper(), 0) + 1
    best = sorted(by_article.items(), key=lambda item: (-len(item[1]), item[0]))[:10]
    print(len(text), best[0][0], sorted(counts.items())[:3], round(sum(order.total() for order in orders), 2))


main()
