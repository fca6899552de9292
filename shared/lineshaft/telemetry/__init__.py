"""What is told to the outside: logs, metrics, traces."""
