"""Webhooks: the application is told of its users, by the machinery that pushes to devices."""
