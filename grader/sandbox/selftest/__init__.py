"""Do the walls hold on this machine? The self-test and what it tries behind them."""
