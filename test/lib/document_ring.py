"""The ring as it is usually written in Python, with all 160 bits of SHA-1. Reads {nodes, replicas, keys}, writes the node of each key."""

import bisect
import hashlib
import json
import sys


class ConsistentHashRing:
    def __init__(self, nodes, num_replicas=3):
        self.ring = {}
        for node in nodes:
            for i in range(num_replicas):
                self.ring[self.position(f"{node}:{i}")] = node
        self.sorted_keys = sorted(self.ring)

    def position(self, text):
        return int(hashlib.sha1(text.encode()).hexdigest(), 16)

    def get_node(self, key):
        index = bisect.bisect(self.sorted_keys, self.position(key)) % len(self.sorted_keys)
        return self.ring[self.sorted_keys[index]]


cases = json.load(sys.stdin)
rings = [(ConsistentHashRing(case["nodes"], case["replicas"]), case["keys"]) for case in cases]
json.dump([[ring.get_node(key) for key in keys] for ring, keys in rings], sys.stdout)
