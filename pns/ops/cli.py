"""The `pns` command.

Two uses go past the tree of commands, which costs most of a start: the overview, and `pns serve` with options
that need no remedy. Everything else, and every mistake, is the tree's: pns/ops/commands/tree.py.

Exit codes: 0 done, 1 failed, 2 wrong use (an unknown option, an impossible setting).
"""

from __future__ import annotations

import gc
import sys

TYPE_CHECKING = False

LOADING = 100_000
"""How many new objects Python looks through at once for garbage while a server's modules are loaded. Python's
own 700 find nothing in 120 searches, for a fifteenth of a start. The server sets a number of its own.
"""

if TYPE_CHECKING:
    from pns.ops.commands.tree import cli as cli
else:

    def __getattr__(name):
        if name == "cli":
            from pns.ops.commands.tree import cli

            return cli
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main() -> None:
    """Run the command of `sys.argv`, and end the process with its exit code."""
    if sys.argv[1:] == ["--help"]:
        from pns.ops.overview import text

        if shown := text():
            sys.stdout.write(shown)
            return
    from pns.errors import PNSError, SettingsError

    try:
        _run(sys.argv[1:])
    except SettingsError as error:
        sys.stderr.write(f"pns: {error}\n")
        sys.exit(2)
    except PNSError as error:
        sys.stderr.write(f"pns: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)  # as the tree does


def _run(arguments: list[str]) -> None:
    if arguments[:1] == ["serve"]:
        gc.set_threshold(LOADING)
        from pns.ops.serve import options

        if (asked := options.read(arguments[1:])) is not None:
            sys.exit(asked.run())
    from pns.ops.commands.tree import cli

    cli(prog_name="pns")


if __name__ == "__main__":
    main()
