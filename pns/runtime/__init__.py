"""The ground under everything: clock, background loops, metrics, shielded work, and log text.

A line here may import errors, the standard library and prometheus-client. It knows no notification, no user
and no setting.
"""

from pns.runtime.distribution import refuse_another

# Here, since every part of PNS stands on this package, and `pns/__init__.py` may be the other's.
refuse_another()
