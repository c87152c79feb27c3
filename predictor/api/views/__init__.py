"""The API's views: thin doors that parse, call one service, and render."""
