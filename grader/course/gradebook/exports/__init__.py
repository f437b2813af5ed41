"""The gradebook as other programs read it: Canvas, nbgrader, a plain table, and one file that another installation takes in."""
