"""Measures PNS, each figure beside the one that says what it is worth. `python -m bench`, or `make bench`."""
