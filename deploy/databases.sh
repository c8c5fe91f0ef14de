#!/bin/sh
# Run once by the image of PostgreSQL, when its volume is empty: a database and an owner each for MLflow and for Gatecast.
set -eu

make() {  # name, password
    psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres --set name="$1" --set password="$2" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name" ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0;
REVOKE CONNECT, TEMPORARY ON DATABASE :"name" FROM PUBLIC;
SQL
}

make mlflow "$MLFLOW_DB_PASSWORD"
make gatecast "$GATECAST_DB_PASSWORD"
