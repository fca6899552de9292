"""How a process and the server do: probes, stuck loops, lost parents."""
