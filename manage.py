#!/usr/bin/env python
"""Django's command line."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "afterimage_web.settings")
    from django.core.management import execute_from_command_line

    from afterimage_web.embedded import EmbeddedError
    from afterimage_web.environment import WrongSetting

    try:
        execute_from_command_line(sys.argv)
    except (EmbeddedError, WrongSetting) as error:  # both of which the settings find out
        sys.exit(str(error))


if __name__ == "__main__":
    main()
