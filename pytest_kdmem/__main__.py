"""Runs `kdmem` as `python -m pytest_kdmem`, for launchers that start modules: `torchrun -m pytest_kdmem distill …`."""

from pytest_kdmem.cli import main

main()
