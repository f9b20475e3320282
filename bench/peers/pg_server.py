#!/usr/bin/env python3
"""PostgreSQL with pgvector out of the package pgserver: pg_server.py FOLDER. Says where it is, and ends with its standard input."""

import json
import pathlib
import re
import sys

import pgserver

FOLDER = pathlib.Path(sys.argv[1])
SETTINGS = {"shared_buffers": "1GB", "max_connections": "100", "jit": "off"}


def main() -> None:
    server = pgserver.get_server(FOLDER)
    for name, value in SETTINGS.items():
        server.psql(f"ALTER SYSTEM SET {name} = '{value}';")
    server.cleanup()
    server = pgserver.get_server(FOLDER)
    server.psql("CREATE EXTENSION vector;")
    version = re.search(r"PostgreSQL (\S+)", server.psql("SELECT version();"))[1]
    extension = re.search(r"\d+\.\d+\.\d+", server.psql("SELECT extversion FROM pg_extension WHERE extname = 'vector';"))[0]
    psql = pathlib.Path(pgserver.__file__).parent / "pginstall/bin/psql"
    print(json.dumps({"uri": server.get_uri(), "pid": server.get_pid(), "psql": str(psql), "postgres": version, "pgvector": extension}), flush=True)
    sys.stdin.read()
    server.cleanup()


if __name__ == "__main__":
    main()
