"""Configuration: `langgraph.json`, environment variables, and the modules of users that they name."""
