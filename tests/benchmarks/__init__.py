"""How fast the hub is, against floors timed side by side in the same run: ``python -m tests.benchmarks``."""
