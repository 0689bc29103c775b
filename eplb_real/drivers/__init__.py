"""One file per place where a vector can run; drivers don't know one another."""
