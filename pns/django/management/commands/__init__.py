"""`manage.py pns_forward`."""
