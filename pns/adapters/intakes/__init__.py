"""Ways from an application's own table into a PNS: see pns/contracts/outgoing.py."""
