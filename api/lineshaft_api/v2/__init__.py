"""Protocol v2: clients follow a thread and all its runs, on channels, and command it."""
