"""Requests that are wrong, to the service and to `mlflow models serve`, and the page that says what became of them.

`python -m benchmarks.faults --peers-python PATH [--huge] [--draft]` writes docs/faults.md; the environment of PATH is
that of `benchmarks.servers`. Minutes, most of them for the answers of the peer to large bodies.

cases.py   the requests, in the form each server wants
asking.py  one request as an ordinary client sends it, and what came back
page.py    the page
"""
