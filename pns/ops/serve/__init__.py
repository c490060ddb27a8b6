"""`pns serve`: the server process, its protocols for HTTP and WebSocket, its logs and its worker processes.

A line here may change how bytes reach the application. It decides no answer of an endpoint.
"""
