"""The operator's pages: a view for support and operations, in a browser.

The application's login is the login, and the application names operators. Any other caller gets the answer of
an unknown path; see access.py. The pages are HTML from the server, without a script.
"""
