"""``python -m ml_core``: write a snapshot, train, crossfit, evaluate, predict, describe. No site, no database.

Exit codes: 0 done, 2 for what the caller can mend (a wrong path, a damaged artifact, a missing corpus), which is then
said in one line; 4 when a training stopped on SIGTERM, to go on from its checkpoint; 130 when interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ml_core.artifact import ArtifactError
from ml_core.command_line import new_parser
from ml_core.snapshot import SnapshotError
from ml_core.stopping import TrainingStopped


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    options = new_parser().parse_args(arguments)
    try:
        options.run(options)
    except TrainingStopped as stopped:
        _complain(stopped)
        return 4
    except (ArtifactError, SnapshotError, OSError) as error:
        return _complain(error)
    except (RuntimeError, ValueError) as error:
        # Ours are told in one line; anything else is a fault of the program and keeps its traceback.
        if not type(error).__module__.startswith("ml_core."):
            raise
        return _complain(error)
    except KeyboardInterrupt:
        return 130
    return 0


def _complain(error: Exception) -> int:
    print(f"ml_core: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
