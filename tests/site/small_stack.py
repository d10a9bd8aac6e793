"""`python -m tests.site.small_stack DATA`: PostgreSQL and Valkey on DATA until Ctrl-C, for tests that kill things."""

from __future__ import annotations

import sys
from pathlib import Path

from afterimage_web.embedded import EmbeddedError, postgres, valkey
from afterimage_web.embedded.ownership import owned
from afterimage_web.embedded.supervisor import Supervisor


def main(data_dir: Path) -> None:
    with owned(data_dir) as note, Supervisor(data_dir / "logs", note, say) as supervisor:
        supervisor.start(postgres.child(data_dir, durable=False), valkey.child(data_dir))
        say("ready")
        supervisor.wait()


def say(sentence: str) -> None:
    print(sentence, flush=True)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except EmbeddedError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        say("stopped")
