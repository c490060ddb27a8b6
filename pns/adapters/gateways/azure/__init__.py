"""The gateway to Azure Notification Hubs, in place of the gateways to FCM and APNs."""
