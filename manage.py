#!/usr/bin/env python
"""Django's command line."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "afterimage_web.settings")
    from django.core.management import execute_from_command_line

    from afterimage_web.embedded import EmbeddedError

    try:
        execute_from_command_line(sys.argv)
    except EmbeddedError as error:  # the data folder cannot be used, which the settings find out
        sys.exit(str(error))


if __name__ == "__main__":
    main()
