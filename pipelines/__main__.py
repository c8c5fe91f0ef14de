"""`python -m pipelines` is `gatecast`, also where the console script is not on the path."""

from pipelines.cli import main

main()
