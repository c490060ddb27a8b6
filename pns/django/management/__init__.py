"""The management commands of the application "pns.django"."""
