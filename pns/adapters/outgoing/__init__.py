"""An application's own table of notifications, in the application's own database, by SQLAlchemy."""
