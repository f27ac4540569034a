"""`scripts/compare`. Its arguments are read before anything is imported that has to be installed."""

import importlib

from compare.arguments import parse

options = parse()
importlib.import_module("compare.session").main(options)
