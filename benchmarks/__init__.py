"""This server beside a bare SDK echo, in one run: ratios with their spread. `python -m benchmarks`."""
