"""Before anything is trained: what the data are, what to do with them, and what it will cost.

survey       looks at the data of a user
networks     says which networks to try on them
recipe       proposes a value for each choice in params.yaml, with its reason
params_file  writes them into params.yaml
cost         measures time and memory on a few batches, and the files of an untrained network
outlook      says what to expect
start        `edgeproof start` and `edgeproof estimate`
"""
