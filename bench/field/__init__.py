"""PNS beside its peers: what others need for the same work, on the same machine, in the same run.

`make peers` installs the peers and runs `python -m bench.field`. Each server asks the application who a
connection is, by the connection's cookie. Each server passes on what is posted for a user to the connections
of the user. PNS alone stores all of that.
"""
