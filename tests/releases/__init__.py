"""Releases before this one, run as they were: their databases, nodes and clients beside this release.

`pns-<commit>.tar.xz` is what a wheel of that commit installs; past.py says which commits. An archive is made
from the history and from nothing else, by `python -m tests.releases.make`.
"""
