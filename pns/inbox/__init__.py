"""The inbox: the notifications that PNS keeps, the users who get them, and how long they stay.

Every write of the application or a device passes here, for HTTP and library alike. A line here may use the
contracts. It opens no connection and sends no push; push and live react to its changes.
"""
