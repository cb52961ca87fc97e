"""What G and D have learnt: the probes of Radford et al. 2016, sections 5 and 6."""
