"""The gateway to Firebase Cloud Messaging: the HTTP v1 API with a service account of Google."""
