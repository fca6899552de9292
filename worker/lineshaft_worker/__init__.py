"""The executor: claims runs from Redis and runs graphs."""
