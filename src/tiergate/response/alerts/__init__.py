"""Who is told what happened to cases, and how it reaches them."""
