"""The gateway to the push services of browsers: Web Push (RFC 8030) with VAPID (RFC 8292)."""
