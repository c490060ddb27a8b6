"""The contract as documents: OpenAPI for the endpoints, AsyncAPI for the connection.

Both are made from the code's own routes, types, errors and close codes, so they cannot fall behind it.
"""
