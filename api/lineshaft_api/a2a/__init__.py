"""Agent2Agent (A2A): each assistant is an agent; a context is a thread, a task the run that began it."""
