"""Small experiments that each show one idea of Segment Anything; `minisam experiment` runs them."""
