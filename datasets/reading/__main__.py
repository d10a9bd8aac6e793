"""The child process: `python -m datasets.reading` reads the one file that its standard input names."""

from .sandbox import serve

serve()
