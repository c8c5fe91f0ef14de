"""Servers that `benchmarks.serving` and `benchmarks.faults` measure beside ours, each a small module.

`python -m benchmarks.servers.NAME FOLDER PORT [OPTION]` serves on the loopback interface; what it needs on disk goes
into the folder. But for `floor` they run in an environment of their own, and import nothing of Gatecast. It is no extra
of this distribution, for MLServer 1.7 wants a FastAPI before 0.116, and we one from 0.165 on:

    python3.11 -m venv ~/servers
    ~/servers/bin/python -m pip install 'mlflow==3.17.*' torch==2.13.0 'mlserver==1.7.*' 'litserve==0.2.*'

network.py        the network that the peers serve: an LSTM of 2 x 64 from 96 x 7 to 7, weights drawn from a seed
with_mlflow.py    `mlflow models serve`
with_mlserver.py  MLServer with a runtime of a few lines; OPTION `batched` switches its batching on
with_litserve.py  LitServe; OPTION as above
floor.py          uvicorn alone: reads the body and says a constant of OPTION bytes
"""
