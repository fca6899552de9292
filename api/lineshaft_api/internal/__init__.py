"""The operations API: what operators look at and do, under `/internal/`, for callers with the scope `admin` only."""
