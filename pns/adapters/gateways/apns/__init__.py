"""The gateway to Apple's Push Notification service: HTTP/2 with a token or a certificate."""
