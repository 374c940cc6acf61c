import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createSnapshot, type Resource, type Snapshot, typeSnapshot } from "../../cache/index.ts";
import { resource, TestClient, TYPES, type Type } from "./test-client.ts";

/**
 * Random histories against an Envoy-like client: configuration changes, subscriptions, rejections of a whole response or of one resource in it, lost
 * streams, and a client that reads and answers when it likes. At every step: nothing that the client uses names a cluster that it does not have, and no
 * response is larger than needed (test-client.ts looks at each). At the end the client has exactly what the model says.
 */

const CLUSTERS = ["a", "b", "c"];
const WATCHED: readonly Type[] = ["CDS", "EDS", "SDS", "LDS", "RDS", "VHDS", "ECDS"];

interface World {
  /** Version by cluster; 0: absent. */
  readonly versions: readonly number[];
  /** Which of the present clusters the route, the host and the listener name. */
  readonly target: number;
  readonly version: number;
}

/** Every cluster has endpoints and a secret; the listener names the route and a secret; the filter chooses among all clusters and a pool of them. */
function linesOf({ versions, target, version }: World, mark: string): string[] {
  const present = CLUSTERS.filter((_, index) => (versions[index] ?? 0) > 0);
  const to = present[target % present.length] as string;
  const of = (type: Type) => present.map((name) => `${type}:${name}`).join(" ");
  const lines = present.flatMap((name) => {
    const at = versions[CLUSTERS.indexOf(name)] ?? 0;
    return [
      `CDS:${name}@${at % 2}${mark} -> EDS:${name} SDS:s`,
      `EDS:${name}@${at}${mark}`,
      `VHDS:r/${name}@${at}${mark} alias=r/${name}.test`,
    ];
  });
  const pool = present.join("+");
  if (present.length > 1) lines.push(`CDS:${pool}@1${mark} -> ${of("CDS")}`);
  return [
    ...lines,
    `SDS:s@${version % 2}${mark}`,
    `LDS:l@${to}${version % 2}${mark} -> RDS:r SDS:s CDS:${to}`,
    `RDS:r@${to}${version}${mark} -> CDS:${to}`,
    // Always there: what is first of its name is sent even when its cluster was rejected (some routes are better than none).
    `VHDS:r/always@${to}${version}${mark} alias=r/always.test -> CDS:${to}`,
    `ECDS:f@${pool}${version}${mark} -> ${of("CDS")}${present.length > 1 ? ` CDS:${pool}` : ""}`,
  ];
}

const world: fc.Arbitrary<World> = fc
  .record({ versions: fc.array(fc.nat(5), { minLength: 3, maxLength: 3 }), target: fc.nat(2), version: fc.nat(3) })
  .filter(({ versions }) => versions.some((version) => version > 0));

const type = fc.constantFrom(...WATCHED);
const step = fc.oneof(
  { weight: 3, arbitrary: world.map((next) => ({ do: "publish" as const, next })) },
  { weight: 6, arbitrary: type.map((of) => ({ do: "accept" as const, of })) },
  { weight: 1, arbitrary: type.map((of) => ({ do: "reject" as const, of })) },
  { weight: 2, arbitrary: fc.tuple(type, fc.nat(2)).map(([of, which]) => ({ do: "reject one" as const, of, which })) },
  { weight: 4, arbitrary: fc.nat(3).map((count) => ({ do: "read" as const, count })) },
  { weight: 2, arbitrary: fc.subarray(CLUSTERS).map((names) => ({ do: "endpoints" as const, names })) },
  { weight: 1, arbitrary: fc.subarray(CLUSTERS).map((names) => ({ do: "hosts" as const, names })) },
  {
    weight: 1,
    arbitrary: fc.shuffledSubarray([...WATCHED], { minLength: WATCHED.length }).map((order) => ({
      do: "disconnect" as const,
      order,
    })),
  },
);

type Step = typeof step extends fc.Arbitrary<infer Each> ? Each : never;

/** A world with one cluster. */
function only(cluster: string, version = 1): World {
  return { versions: CLUSTERS.map((each) => (each === cluster ? version : 0)), target: 0, version: 0 };
}

/** Make before break, seen from the client: nothing that takes traffic names a cluster that is not there. */
function checkReferences(client: TestClient): void {
  const clusters = client.store("CDS").resources;
  for (const user of ["LDS", "RDS", "VHDS", "ECDS"] as const) {
    for (const { name, references } of client.store(user).resources.values()) {
      for (const each of references) {
        if (each.typeUrl === TYPES.CDS) expect(clusters.has(each.name), `cluster ${each.name} of ${name}`).toBe(true);
      }
    }
  }
}

function resubscribe(client: TestClient, of: Type, wanted: readonly string[]): void {
  const { names } = client.store(of);
  client.request(of, [
    ...[...names].filter((name) => !wanted.includes(name)).map((name) => `-${name}`),
    ...wanted.filter((name) => !names.has(name)),
  ]);
}

/** Reads and accepts until nothing comes. */
function settle(client: TestClient, check: () => void): void {
  for (let rounds = 0; ; rounds++) {
    expect(rounds, "rounds until it is quiet").toBeLessThan(60);
    client.read();
    check();
    const answered = WATCHED.filter((each) => client.answer(each));
    check();
    if (answered.length === 0) return;
  }
}

/** Histories that have failed, all of them once in thousands: virtual hosts that are known by an alias only. */
const found: [World, Step[], World][] = [
  // Dropping one alias made the server forget what a reconnected client had by another.
  [
    only("c"),
    [
      { do: "publish", next: only("a") },
      { do: "disconnect", order: ["VHDS", "EDS", "RDS", "LDS", "ECDS", "SDS", "CDS"] },
      { do: "read", count: 1 },
      { do: "read", count: 2 },
      { do: "hosts", names: [] },
      { do: "reject one", of: "CDS", which: 0 },
      { do: "read", count: 1 },
    ],
    only("c"),
  ],
  // Likewise, where it then had to be told that the host is gone.
  [
    only("a"),
    [
      { do: "publish", next: only("a", 2) },
      { do: "disconnect", order: ["SDS", "EDS", "VHDS", "ECDS", "LDS", "RDS", "CDS"] },
      { do: "publish", next: only("c") },
      { do: "hosts", names: ["a", "c"] },
    ],
    only("c"),
  ],
  // A host that was on its way when its alias was dropped, and gone when it was asked for again.
  [
    only("c"),
    [
      { do: "publish", next: only("a") },
      { do: "read", count: 1 },
      { do: "read", count: 3 },
      { do: "hosts", names: [] },
      { do: "publish", next: only("c") },
      { do: "hosts", names: ["a"] },
    ],
    only("c"),
  ],
  // What a client had forgotten kept a cluster in use for ever.
  [
    only("a"),
    [
      { do: "publish", next: only("c") },
      { do: "disconnect", order: ["EDS", "SDS", "LDS", "CDS", "ECDS", "VHDS", "RDS"] },
      { do: "hosts", names: [] },
      { do: "publish", next: only("a", 2) },
      { do: "read", count: 2 },
      { do: "read", count: 2 },
      { do: "read", count: 1 },
      { do: "reject", of: "VHDS" },
    ],
    only("c"),
  ],
];

const versions = (resources: Iterable<Resource>) =>
  Object.fromEntries([...resources].map(({ name, version }) => [name, version]).sort());

describe.each(["sotw", "delta"] as const)("property: random histories in %s", (variant) => {
  it("end with exactly the subscribed state, break nothing on the way, and send nothing twice", () => {
    const history = fc.property(world, fc.array(step, { maxLength: 60 }), world, (first, steps, last) => {
      let served: Snapshot = createSnapshot(linesOf(first, "").map(resource));
      const client = new TestClient(variant, served);
      client.subscribe("CDS");
      client.ack("CDS");
      client.subscribe("LDS");
      for (const [of, names] of [
        ["EDS", CLUSTERS],
        ["SDS", ["s"]],
        ["RDS", ["r"]],
        ["ECDS", ["f"]],
      ] as const) {
        client.request(of, names);
      }
      if (variant === "delta") client.request("VHDS", ["r/always.test", "r/a.test"]);
      // The history begins with everything accepted.
      settle(client, () => {});

      // A state-of-the-world server does not know what a client that reconnects has, so it cannot keep it.
      let isKnown = true;
      const check = () => isKnown && checkReferences(client);
      for (const each of steps) {
        if (each.do === "publish") {
          served = createSnapshot(linesOf(each.next, "").map(resource), served);
          client.session.publish(served);
        } else if (each.do === "accept") client.answer(each.of);
        else if (each.do === "reject") client.answer(each.of, "rejected");
        else if (each.do === "reject one") {
          const [response] = client.store(each.of).pending;
          const name = response?.resources[each.which % response.resources.length]?.name;
          if (name !== undefined) client.answer(each.of, `Error adding ${name}: no`);
        } else if (each.do === "read") for (let count = 0; count < each.count; count++) client.readOne();
        else if (each.do === "endpoints") resubscribe(client, "EDS", each.names.length > 0 ? each.names : CLUSTERS);
        else if (each.do === "hosts") {
          const hosts = ["r/always.test", ...each.names.map((name) => `r/${name}.test`)];
          if (variant === "delta") resubscribe(client, "VHDS", hosts);
        } else {
          client.disconnect(served, each.order);
          if (variant === "sotw") isKnown = false;
        }
        check();
      }
      // A last change that touches everything, so that rejected versions are out of the way.
      served = createSnapshot(linesOf(last, "!").map(resource), served);
      client.session.publish(served);
      settle(client, check);

      for (const of of ["CDS", "LDS"] as const) {
        expect(versions(client.store(of).resources.values())).toEqual(
          versions(typeSnapshot(served, TYPES[of]).resources.values()),
        );
      }
      for (const of of ["EDS", "SDS", "RDS", "VHDS", "ECDS"] as const) {
        const { names, resources } = client.store(of);
        const isWanted = ({ name, aliases = [] }: Resource) => [name, ...aliases].some((each) => names.has(each));
        const wanted = [...typeSnapshot(served, TYPES[of]).resources.values()].filter(isWanted);
        const kept = [...resources.values()].filter(
          // State-of-the-world never says that endpoints are gone.
          ({ name }) => variant === "delta" || typeSnapshot(served, TYPES[of]).resources.has(name),
        );
        expect(versions(kept)).toEqual(versions(wanted));
      }
      const quiet = client.responses;
      client.session.publish(createSnapshot(linesOf(last, "!").map(resource)));
      client.read();
      expect(client.responses, "an unchanged publish sends nothing").toBe(quiet);
      for (const { client: kept, outstanding } of client.session.watches.values()) {
        expect(outstanding.size).toBe(0);
        // A client that is up to date is remembered as such, and nothing else is.
        if (variant === "delta") expect([...kept.pending()]).toEqual([]);
      }
    });
    fc.assert(history, { numRuns: 250, examples: found });
  }, 60_000);
});
