"""The gateways: one folder for each push service, with the files `gateway`, `message` and `answers`.

A gateway turns a push into a request and the answer into an outcome. It reads no store and decides no retry.
The modules beside the folders are shared: HTTP, endpoints, key files.
"""
