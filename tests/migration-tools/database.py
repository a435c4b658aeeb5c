#!/usr/bin/env python3
"""Gives one database URL to tools that each want it in another form.

`database.py variables <url>` prints shell commands that export the variables of libpq and DATABASE_URL.
`database.py tcp <url> <program> <argument>...` runs a program that cannot use unix sockets. If the URL has one, a
port of 127.0.0.1 leads to it for as long as the program runs. In the arguments, @HOST@, @PORT@ and @URL@ stand for
the address.
"""

import os
import shlex
import socket
import subprocess
import sys
import threading
from urllib.parse import parse_qs, quote, unquote, urlsplit


def parse(url):
    rest = url.split("://", 1)[1]
    # urlsplit makes the host lower case.
    authority, _, tail = rest.partition("/")
    if "?" in authority:
        authority, _, query = authority.partition("?")
        tail = "?" + query
    userinfo, _, address = authority.rpartition("@")
    user, _, password = userinfo.partition(":")
    host, _, port = address.rpartition(":") if ":" in address else (address, "", "")
    split = urlsplit("//x/" + tail)
    options = {name: values[-1] for name, values in parse_qs(split.query).items()}
    return {
        "host": options.get("host") or unquote(host) or os.environ.get("PGHOST", "/var/run/postgresql"),
        "port": options.get("port") or port or os.environ.get("PGPORT", "5432"),
        "user": options.get("user") or unquote(user) or os.environ.get("PGUSER", "postgres"),
        "password": options.get("password") or unquote(password) or os.environ.get("PGPASSWORD", ""),
        "dbname": options.get("dbname") or unquote(split.path.lstrip("/")),
    }


def spell(parts):
    user = quote(parts["user"], safe="")
    if parts["password"]:
        user += ":" + quote(parts["password"], safe="")
    database = quote(parts["dbname"], safe="")
    if parts["host"].startswith("/"):
        # Some tools want a host in every URL, and prefer that of the parameter.
        return f"postgresql://{user}@localhost/{database}?host={quote(parts['host'])}&port={parts['port']}"
    return f"postgresql://{user}@{parts['host']}:{parts['port']}/{database}"


def variables(url):
    parts = parse(url)
    exported = {
        "PGHOST": parts["host"],
        "PGPORT": parts["port"],
        "PGUSER": parts["user"],
        "PGDATABASE": parts["dbname"],
        "DATABASE_URL": spell(parts),
        "URL_USER": spell(parts).split("://", 1)[1].split("@", 1)[0],
        "URL_HOST": quote(parts["host"]),
        "URL_DATABASE": quote(parts["dbname"], safe=""),
    }
    if parts["password"]:
        exported["PGPASSWORD"] = parts["password"]
    for name, value in exported.items():
        print(f"export {name}={shlex.quote(value)}")


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def forward(listener, path):
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(path)
        except OSError as error:
            print(f"database.py: {path}: {error}", file=sys.stderr)
            client.close()
            continue
        for pair in ((client, server), (server, client)):
            threading.Thread(target=copy, args=pair, daemon=True).start()


def tcp(url, command):
    parts = parse(url)
    if parts["host"].startswith("/"):
        listener = socket.create_server(("127.0.0.1", 0))
        path = f"{parts['host']}/.s.PGSQL.{parts['port']}"
        threading.Thread(target=forward, args=(listener, path), daemon=True).start()
        parts["host"], parts["port"] = "127.0.0.1", str(listener.getsockname()[1])
    values = {"@HOST@": parts["host"], "@PORT@": parts["port"], "@URL@": spell(parts)}
    for name, value in values.items():
        command = [argument.replace(name, value) for argument in command]
    environment = dict(os.environ, PGHOST=parts["host"], PGPORT=parts["port"])
    sys.exit(subprocess.run(command, env=environment, check=False).returncode)


if sys.argv[1] == "variables":
    variables(sys.argv[2])
else:
    tcp(sys.argv[2], sys.argv[3:])
