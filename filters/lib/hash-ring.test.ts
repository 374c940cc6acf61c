import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { EndpointHashDriver, everySlot, keysOf, type Member } from "../../test/lib/endpoint-hash-driver.ts";
import { HashFunction, hashBytes } from "../../test/lib/hash-functions-driver.ts";

/** What only the ring has: points, their number, and agreement with a ring in Python. With Envoy's: test/envoy/hash-ring-parity.envoy.test.ts. */

const { XxHash64, Sha1 } = HashFunction;
const nodes = (count: number, weight = 1): Member[] =>
  Array.from({ length: count }, (_, slot) => ({ slot, name: `node${slot}`, weight }));

describe("the ring of [0, 2^32) with SHA-1 of `node:i`", () => {
  interface DocumentCase {
    readonly nodes: string[];
    readonly replicas: number;
    readonly keys: string[];
  }
  const keys = Array.from({ length: 5000 }, (_, i) => `key${i}`);
  const cases: DocumentCase[] = [
    { nodes: ["node1", "node2", "node3"], replicas: 3, keys },
    { nodes: ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.10:8080", "[::1]:80", "ä"], replicas: 3, keys },
    { nodes: Array.from({ length: 40 }, (_, i) => `server-${i}`), replicas: 100, keys },
    { nodes: ["alone"], replicas: 1, keys: keys.slice(0, 10) },
  ];
  const script = new URL("../../test/lib/document_ring.py", import.meta.url).pathname;
  const { stdout, stderr } = spawnSync("python3", [script], { input: JSON.stringify(cases), encoding: "utf8" });
  const answers = stdout === "" ? [] : (JSON.parse(stdout) as string[][]);

  it.each(cases.map((one, index) => ({ ...one, index })))(
    "gives every key the node of the class in Python: $nodes.length nodes, $replicas points each",
    ({ nodes, replicas, keys, index }) => {
      expect(stderr).toBe("");
      for (const bits of [32, 64] as const) {
        const ring = EndpointHashDriver.ring({ fn: Sha1, bits, separator: ":", points: replicas });
        ring.build(nodes.map((name, slot) => ({ slot, name })));
        expect(ring.points).toBe(nodes.length * replicas);
        const ours = keys.map((key) => nodes[ring.pick(hashBytes(Sha1, key))]);
        expect(ours).toEqual(answers[index]);
        expect(new Set(ours).size).toBe(nodes.length);
      }
    },
  );

  it("gives a key whose position is that of a point to this point, and one behind it to the next", () => {
    const ring = EndpointHashDriver.ring({ fn: Sha1, bits: 32, separator: ":", points: 3 }).build(nodes(5));
    const points = nodes(5).flatMap(({ slot, name }) =>
      [0, 1, 2].map((i) => ({ slot, at: hashBytes(Sha1, `${name}:${i}`) >> 32n })),
    );
    points.sort((a, b) => Number(a.at - b.at));
    for (const [index, { slot, at }] of points.entries()) {
      expect(ring.pick(at << 32n)).toBe(slot);
      expect(ring.pick((at << 32n) | 0xffffffffn)).toBe(slot); // the lower half of a key does not count
      expect(ring.pick((at - 1n) << 32n)).toBe(slot);
      expect(ring.pick((at + 1n) << 32n)).toBe(points[(index + 1) % points.length]?.slot);
    }
  });
});

describe("points", () => {
  it("are as many as points times weight, whoever else is there", () => {
    const ring = EndpointHashDriver.ring({ fn: XxHash64, points: 50 }).build([]);
    for (let slot = 0; slot < 20; slot++) {
      ring.join({ slot, name: `node${slot}`, weight: slot });
      for (let other = 0; other <= slot; other++) expect(ring.pointsOf(other)).toBe(50 * Math.max(1, other));
    }
    ring.join({ slot: 7, name: "node7", weight: 2 });
    expect(ring.pointsOf(7)).toBe(100);
  });

  it("are halved for all when they do not fit, and doubled again when they do", () => {
    const ring = EndpointHashDriver.ring({ fn: XxHash64, points: 100, maximum: 1000 }).build(nodes(10));
    expect(ring.points).toBe(1000);
    ring.join({ slot: 10, name: "node10" });
    expect(ring.points).toBe(550);
    ring.join({ slot: 11, name: "node11", weight: 1000 });
    expect(ring.points).toBe(781 + 11); // a thousand times as many as of the others is not possible: one each
    ring.leave(11);
    expect(ring.points).toBe(550);
    ring.leave(10);
    expect(ring.points).toBe(1000);
  });

  it("fit into 2 MB and a little, with 256 endpoints of any weight", () => {
    for (const [points, weight, total] of [
      [1024, 1, 2 ** 18],
      [65_536, 1, 2 ** 18],
      [65_536, 1000, 256 * 1000],
    ] as const) {
      const members = everySlot.map((slot) => ({ slot, name: `node${slot}`, weight }));
      const ring = EndpointHashDriver.ring({ fn: XxHash64, points, maximum: 2 ** 30 }).build(members);
      expect(ring.points).toBe(total);
      expect(ring.memoryBytes).toBeLessThan(2.6e6);
      expect(new Set(ring.pickAll(keysOf(20_000))).size).toBe(256);
    }
  });

  it("are one each at least, even beyond the limit", () => {
    const ring = EndpointHashDriver.ring({ fn: XxHash64, points: 1, maximum: 3 }).build(nodes(20));
    expect(ring.points).toBe(20);
  });
});
