"""The app that `lineshaft dev` serves when no config is given: two graphs to try, read and copy (`digest`, `chat`)."""
