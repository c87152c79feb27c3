"""The command line: ``python -m genresite.embedded run -- COMMAND``, ``status``, ``stop``."""

from __future__ import annotations

import argparse
import sys

from genresite.embedded import EmbeddedServerError, postgres, run, valkey, var_folder


def main(arguments: list[str] | None = None) -> int:
    """The command line: ``run -- COMMAND``, ``status``, ``stop``."""
    parser = argparse.ArgumentParser(
        prog="python -m genresite.embedded", description="A private PostgreSQL and Valkey for a command."
    )
    actions = parser.add_subparsers(dest="action", required=True)
    runner = actions.add_parser("run", help="run a command with the private servers up")
    runner.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    actions.add_parser("status", help="say which private servers run")
    actions.add_parser("stop", help="stop the private servers, whoever uses them")
    options = parser.parse_args(arguments)
    var = var_folder()
    try:
        if options.action == "run":
            command = options.command[1:] if options.command[:1] == ["--"] else options.command
            if not command:
                parser.error("run needs a command after --")
            return run(command)
        if options.action == "stop":
            valkey.stop(var)
            postgres.stop(var)
        up = (var / "postgres" / "PG_VERSION").exists() and postgres.runs(var)
        print(f"PostgreSQL: {'up' if up else 'down'}   {postgres.url(var)}")
        print(f"Valkey:     {'up' if valkey.answers(var) else 'down'}   {valkey.url(var)}")
    except (EmbeddedServerError, FileNotFoundError) as error:
        print(f"genresite.embedded: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
