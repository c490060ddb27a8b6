"""Whether the files of this package are PNS's own, or another distribution has put its files among them.

PNS's distribution is `pns-server`, its package is `pns`. The distribution `pns` of PyPI is another project's,
with a package of the same name. An installer puts both into one folder, and says nothing.
"""

from __future__ import annotations

import os

_ENDS = (".dist-info", ".egg-info")


def refuse_another() -> None:
    """Raise ImportError, with the remedy, where a distribution `pns` shares the folder of this package."""
    folder = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if any(name.startswith("pns-") and name.endswith(_ENDS) for name in os.listdir(folder)):
        raise ImportError(
            f"The distribution `pns` in {folder} is not PNS and has files of the same names: run "
            "`pip uninstall --yes pns`, then `pip install --force-reinstall --no-deps pns-server`."
        )
