"""The template tags of "pns.django"."""
