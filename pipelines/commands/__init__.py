"""The commands of `gatecast`. Each reads its arguments, calls one function, prints what came of it.

calling.py     what all commands have in common: the group, options, --json
training.py    train, retrain, backtest, forecast
versions.py    models, promote, rollback
serving.py     serve, up, keys
scheduling.py  schedule
streaming.py   stream
trying.py      demo, doctor

A command imports what it needs when it is called: --help must not wait for torch.
"""
