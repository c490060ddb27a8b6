"""The migrations of the application "pns.django"."""
