"""Clicking on photos: one page in `page/`, and the server, the sessions and the results behind it."""
