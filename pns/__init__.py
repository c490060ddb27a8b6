"""PNS: the notification inbox and live-push server for web applications."""
