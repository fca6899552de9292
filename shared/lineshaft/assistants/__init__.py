"""Assistants, the graphs that they run, and questions that only a graph can answer."""
