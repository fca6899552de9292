"""The demo as everyone has it first: without a key in the environment, whatever the developer's shell has."""

import os

for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"):
    os.environ.pop(name, None)
