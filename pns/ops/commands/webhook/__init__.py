"""`pns webhook …`: the secret of webhooks, and a trial."""
