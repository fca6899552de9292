"""The user's own web application (`http.app` of langgraph.json): its routes beside ours, its middleware around all."""
