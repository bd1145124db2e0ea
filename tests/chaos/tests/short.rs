//! What a test has time for: the commonest faults in quick succession.
