"""``python -m firstscan.cli``: the program, where its script is not on the path."""

from .main import main

main()
