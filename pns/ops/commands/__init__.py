"""Groups of commands: `pns devices …`, `pns push …`, `pns webpush …`.

As in cli.py, each command is a few lines here; what it does stands in the module that it names.
"""
