"""Who may do what, and how often: API keys, visibility, limits; and the record of what operators did."""
