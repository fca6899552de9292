"""Queues: which run goes to which, who serves them, what they hold, how operators steer them."""
