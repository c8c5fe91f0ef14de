"""The laboratory: every recurrent system of the question, and what of its answer the numbers confirm or refute.

variants.py  systems with the way their keep gates begin
flow.py      how much of a gradient is left so many steps back, before any training
adding.py    the adding problem: two numbers far apart, whose sum is to be said at the end
growth.py    how large a state becomes that is carried on and on
results.py   what is written down
plan.py      what is tried, in full and quickly
running.py   all of it, side by side
claims.py    what was claimed, and what the numbers say of it
pictures.py  of results, for people
page.py      `docs/memory.md`
"""
