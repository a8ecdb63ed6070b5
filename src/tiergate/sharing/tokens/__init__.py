"""Joint detection: labs find what several of them hold, and learn nothing of what fewer do.

After STAR (A. Davidson et al., "STAR: Secret Sharing for Private Threshold Aggregation Reporting", CCS 2022) with labs
in place of clients. A *key server* turns a lab's items into tokens without seeing them (`blinding`, RFC 9497). From
each token a lab derives one share of a secret (`shares`) and hands it to the *hub* (`hub`), which can open an item once
as many labs hold it as the threshold says (`opening`), and groups what it opened into joint clusters (`clusters`).
What each party can learn, alone and in company: docs/threat-model-joint-detection.md.
"""
