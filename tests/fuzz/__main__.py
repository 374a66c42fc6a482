"""Reads damaged files by every reader, and prints a table: `python -m tests.fuzz --inputs 100000 --seed 0`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.harness import HEADER, fuzz, row, total
from tests.fuzz.readers import all_readers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=2000, help="Number of inputs of all readers together.")
    parser.add_argument("--seed", type=int, default=0, help="Seed of the damage.")
    parser.add_argument("--only", default="", help="Part of the names of the readers to run.")
    parser.add_argument("--without", help="Part of the names of the readers to leave out.")
    arguments = parser.parse_args()
    shares = {
        reader.name: reader.share
        for reader in all_readers()
        if arguments.only in reader.name and not (arguments.without and arguments.without in reader.name)
    }
    all_shares = sum(shares.values())
    tallies = {}
    print(HEADER)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as scratch:
        for name, share in shares.items():
            inputs = round(arguments.inputs * share / all_shares)
            tallies[name] = fuzz(name, inputs, arguments.seed, Path(scratch))
            print(row(name, tallies[name]), flush=True)
    print(row("all", total(tallies.values())))
    for name, tally in tallies.items():
        for finding in dict.fromkeys(tally.findings):
            print(f"{name}: {finding}")
    return 1 if any(tally.findings for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
