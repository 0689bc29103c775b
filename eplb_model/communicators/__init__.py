"""How expert weights travel: the plan of one layer, which every backend carries out."""
