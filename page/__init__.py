"""The page's widgets, a file for each tab."""
