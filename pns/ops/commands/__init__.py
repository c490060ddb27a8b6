"""Groups of commands: `pns devices …`, `pns push …`, `pns webpush …`.

As in cli.py, a command is a few lines here; its work stands in the module that the command calls.
"""
