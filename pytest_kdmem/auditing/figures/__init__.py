"""Figures of an audit beyond rates and inheritance, a module for each family."""
