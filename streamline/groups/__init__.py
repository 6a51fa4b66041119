"""
Consumer groups: who is a member, who leads, which offsets were committed.

Pure decisions.  One C{GroupShard} is the state of one partition of
C{__consumer_offsets}; it is rebuilt by replaying that partition's records, and
every change of it that must survive is a record first.  Nothing here reads a
clock, draws a random number or waits: time comes in as C{now_ms}, chance as a
member id's suffix, and what must be done comes out as decisions.
"""
