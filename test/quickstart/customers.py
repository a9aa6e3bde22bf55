#!/usr/bin/python3
"""Writes the quickstart's customers as CSV: the same rows every time.

    customers.py [ROWS]

None of them exists: the names are put together at random, the domains are
reserved for examples, and the account numbers only have right check digits.
"""

import csv
import random
import sys
import uuid

TENANTS = [("acme", 50), ("globex", 25), ("initech", 15), ("umbrella", 10)]
FIRST = """Aaliyah Adam Aiko Amara Anders Andrea Aroha Astrid Beatriz Björn
Camille Carlos Chen Chiara Daniel Dmitri Elena Emeka Emma Farah Felix Fatima
Freya Gabriel Giulia Hana Hassan Ines Ivan Jamal Jan Jia João Julia Kai Karim
Kofi Lars Leila Léa Liam Lucía Magnus Maria Mateo Mei Milan Mohammed Nadia
Ngozi Nina Noah Olga Omar Paula Pedro Priya Rafael Rosa Ruth Saanvi Samuel
Selma Sofia Søren Sven Tariq Thomas Tomás Uma Viktor Wei Yara Yusuf Zoë
Zuzana""".split()
LAST = """Abebe Ahmed Almeida Andersson Bakker Becker Bianchi Brown Chen
Costa Dubois Eriksen Fernández Fischer Garcia Haddad Hansen Horváth Ito
Ivanova Jansen Johansson Kaya Khan Kim Kowalski Kumar Lee Lefèvre Lindqvist
Lopez Martin Mbeki Meyer Moreau Müller Nakamura Nguyen Novák Nowak Okafor
O'Brien Oliveira Owusu Patel Pereira Petrov Popescu Rahman Ricci Rossi
Santos Sato Schmidt Silva Singh Smith Suzuki Tanaka Taylor Thompson Tran
Virtanen Wagner Walker Wang Weber Williams Yılmaz Young Zhang""".split()
DOMAINS = ["example.com", "example.net", "example.org", "mail.example"]
COUNTRIES = [("DE", "49", 18), ("FR", "33", 23), ("NL", "31", 14),
             ("ES", "34", 20), ("GB", "44", 18), ("PL", "48", 24)]
NOTES = ["", "", "prefers to be called after 17:00",
         "asked for a copy of her data", "allergic to penicillin",
         "disputed the invoice of March; settled",
         "moving house in spring, new address to follow",
         "speaks French, some German", "guardian signs for the account",
         "has power of attorney for his mother"]
ASCII = str.maketrans("öãéíøáńëüèıäå", "oaeioaneueiaa")


def iban(rng, country, digits):
    """An account number with right check digits (ISO 13616)."""
    account = "".join(rng.choice("0123456789") for _ in range(digits))
    tail = account + "".join(str(ord(c) - 55) for c in country) + "00"
    return f"{country}{98 - int(tail) % 97:02d}{account}"


def card(rng):
    """A number that passes the check of ISO/IEC 7812."""
    digits = [4] + [rng.randrange(10) for _ in range(14)]
    total = sum(sum(divmod(2 * d, 10)) if i % 2 == 0 else d
                for i, d in enumerate(digits))
    digits.append(-total % 10)
    return "".join(map(str, digits))


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    rng = random.Random(20260101)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["id", "tenant", "name", "email", "phone", "iban", "card",
                  "notes"])
    tenants = [name for name, weight in TENANTS for _ in range(weight)]
    for number in range(rows):
        first, last = rng.choice(FIRST), rng.choice(LAST)
        country, prefix, digits = rng.choice(COUNTRIES)
        handle = f"{first}.{last}".lower().replace("'", "").translate(ASCII)
        out.writerow([
            uuid.UUID(int=rng.getrandbits(128), version=4),
            rng.choice(tenants),
            f"{first} {last}",
            f"{handle}{number}@{rng.choice(DOMAINS)}",
            f"+{prefix} {rng.randrange(100, 999)} "
            f"{rng.randrange(1000000, 9999999)}",
            iban(rng, country, digits),
            card(rng),
            rng.choice(NOTES),
        ])


if __name__ == "__main__":
    sys.exit(main())
