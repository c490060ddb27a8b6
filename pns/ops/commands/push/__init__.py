"""What the commands about push do, on the store itself: beside a running server, or without one."""
