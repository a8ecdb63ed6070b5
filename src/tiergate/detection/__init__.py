"""What admitted traffic adds up to: accounts that are one actor, and what they do together.

The steps, in order: `intake` (the log as arrays) -> `evidence` (tokens of each account in eight families) -> `links`
(pairs of accounts that share surprising tokens) -> `clusters` (groups worth more than it costs to name them) ->
`workload` (is the pooled traffic one queue dealt out?) -> `findings` and `queues` (one score) -> `decoys` (what score
does chance reach?) -> `exchanges` (which are charged) -> `cases` and `ties`. `run` calls them; `state` remembers.
"""
