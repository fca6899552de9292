"""The Model Context Protocol: each assistant is a tool."""
