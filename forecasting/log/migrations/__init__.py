"""Steps from one shape of the tables to the next; `env.py` is alembic's way in."""
