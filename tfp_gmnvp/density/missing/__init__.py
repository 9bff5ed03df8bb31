"""Tables with missing entries, NaN: exact EM of mixtures, imputations and flows.

Missing entries are taken to be missing at random: whether one is, may depend on what is observed,
but not on the entry itself.

#### References

Ghahramani and Jordan 1994, "Supervised learning from incomplete data via an EM approach".
Little and Rubin 2019, "Statistical analysis with missing data", chapter 6.
"""
