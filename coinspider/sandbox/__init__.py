"""A stand-in for CoinGecko's API, for the demo, the tests and the benchmarks."""
