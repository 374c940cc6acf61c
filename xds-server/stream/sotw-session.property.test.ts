import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TypeUrl } from "../../protos/index.ts";
import { createSnapshot, FULL_STATE_TYPES, type Resource, type Snapshot, typeSnapshot } from "../cache/index.ts";
import type { PlannedResponse } from "./discovery.ts";
import { SotwSession } from "./sotw-session.ts";

/**
 * Random histories against an Envoy-like client: it applies what it accepts, and its requests may cross with responses. Invariants at every
 * step, and the whole state at the end.
 */

const CLUSTERS = ["a", "b", "c"];

/** A snapshot in which every cluster has endpoints, the route goes to one of the clusters, and the filter to a pool of all of them. */
function world(versions: readonly number[], route: number, routeVersion: number): Snapshot {
  const resources: Resource[] = [];
  const make = (typeUrl: Resource["typeUrl"], name: string, version: string, references: Resource["references"] = []) =>
    resources.push({ typeUrl, name, version, any: new Uint8Array(), references });
  const present = CLUSTERS.filter((_, index) => (versions[index] ?? 0) > 0);
  for (const [index, name] of CLUSTERS.entries()) {
    const version = versions[index] ?? 0;
    if (version === 0) continue;
    make(TypeUrl.cluster, name, `${version % 2}`, [{ typeUrl: TypeUrl.endpoints, name }]);
    make(TypeUrl.endpoints, name, `${version}`);
  }
  const target = present[route % Math.max(1, present.length)];
  const references = target === undefined ? [] : [{ typeUrl: TypeUrl.cluster, name: target }];
  make(TypeUrl.route, "r", `${target}-${routeVersion}`, references);
  const members = present.map((name) => ({ typeUrl: TypeUrl.cluster, name }));
  const pool = present.join("+");
  if (present.length > 1) make(TypeUrl.cluster, pool, "1", members);
  const pools = present.length > 1 ? [{ typeUrl: TypeUrl.cluster, name: pool }] : [];
  make(TypeUrl.extensionConfig, "f", `${pool}-${routeVersion}`, [...members, ...pools]);
  return createSnapshot(resources);
}

class EnvoyLike {
  readonly session: SotwSession;
  readonly store = new Map<string, Map<string, Resource>>();
  readonly #pending = new Map<string, PlannedResponse>();
  readonly #names = new Map<string, readonly string[]>();
  /** Of the last response that was worked on: a request before that is stale to the server. */
  readonly #nonces = new Map<string, string>();
  responses = 0;

  constructor(first: Snapshot) {
    this.session = new SotwSession(first);
  }

  request(typeUrl: string, error?: string): void {
    this.session.receive(
      {
        typeUrl,
        versionInfo: "",
        resourceNames: this.#names.get(typeUrl) ?? [],
        responseNonce: this.#nonces.get(typeUrl) ?? "",
        ...(error === undefined ? {} : { errorDetail: { code: 13, message: error } }),
      },
      0,
    );
  }

  subscribe(typeUrl: string, names: readonly string[]): void {
    this.#names.set(typeUrl, names);
    this.request(typeUrl);
    const store = this.store.get(typeUrl) ?? new Map();
    this.store.set(typeUrl, store);
    if (!FULL_STATE_TYPES.has(typeUrl)) for (const name of store.keys()) if (!names.includes(name)) store.delete(name);
  }

  read(): void {
    for (let due = this.session.next(); due !== undefined; due = this.session.next()) {
      expect(this.#pending.has(due.typeUrl), "one response per type on its way").toBe(false);
      this.#pending.set(due.typeUrl, due);
      this.responses++;
    }
  }

  /** Accepts the response of a type, if there is one. */
  accept(typeUrl: string): boolean {
    const response = this.#pending.get(typeUrl);
    if (response === undefined) return false;
    this.#pending.delete(typeUrl);
    this.#nonces.set(typeUrl, response.nonce);
    const store = FULL_STATE_TYPES.has(typeUrl) ? new Map<string, Resource>() : (this.store.get(typeUrl) ?? new Map());
    for (const resource of response.resources) store.set(resource.name, resource);
    this.store.set(typeUrl, store);
    this.request(typeUrl);
    return true;
  }

  reject(typeUrl: string): void {
    const response = this.#pending.get(typeUrl);
    if (response === undefined) return;
    this.#pending.delete(typeUrl);
    this.#nonces.set(typeUrl, response.nonce);
    this.request(typeUrl, "rejected");
  }

  /** Make before break, seen from the client: its route and its filter never name a cluster it does not have. */
  checkReferences(): void {
    const clusters = this.store.get(TypeUrl.cluster);
    for (const typeUrl of [TypeUrl.route, TypeUrl.extensionConfig]) {
      for (const { name, references } of this.store.get(typeUrl)?.values() ?? []) {
        for (const each of references)
          expect(clusters?.has(each.name), `cluster ${each.name} of the client's ${name}`).toBe(true);
      }
    }
  }
}

const snapshotOf = fc
  .tuple(fc.array(fc.nat(5), { minLength: 3, maxLength: 3 }), fc.nat(2), fc.nat(3))
  .filter(([versions]) => versions.some((version) => version > 0))
  .map(([versions, route, routeVersion]) => world(versions, route, routeVersion));

const WATCHED = [TypeUrl.cluster, TypeUrl.endpoints, TypeUrl.route, TypeUrl.extensionConfig];
const step = fc.oneof(
  snapshotOf.map((snapshot) => ({ do: "publish" as const, snapshot })),
  fc.constantFrom(...WATCHED).map((typeUrl) => ({ do: "accept" as const, typeUrl })),
  fc.constantFrom(...WATCHED).map((typeUrl) => ({ do: "accept" as const, typeUrl })),
  fc.constantFrom(...WATCHED).map((typeUrl) => ({ do: "reject" as const, typeUrl })),
  fc.subarray(CLUSTERS).map((names) => ({ do: "endpoints" as const, names })),
);

describe("property: random histories", () => {
  it("end with exactly the subscribed state, and never break a route on the way", () => {
    fc.assert(
      fc.property(snapshotOf, fc.array(step, { maxLength: 40 }), snapshotOf, (first, steps, last) => {
        const client = new EnvoyLike(first);
        client.subscribe(TypeUrl.cluster, []);
        client.read();
        client.accept(TypeUrl.cluster);
        client.subscribe(TypeUrl.endpoints, CLUSTERS);
        client.subscribe(TypeUrl.route, ["r"]);
        client.subscribe(TypeUrl.extensionConfig, ["f"]);
        client.read();
        // A first route is sent even if its cluster was rejected (some routes are better than none), so the history begins with one.
        client.accept(TypeUrl.route);
        client.accept(TypeUrl.extensionConfig);
        let names: readonly string[] = CLUSTERS;
        for (const each of steps) {
          if (each.do === "publish") client.session.publish(each.snapshot);
          else if (each.do === "accept") client.accept(each.typeUrl);
          else if (each.do === "reject") client.reject(each.typeUrl);
          else {
            names = each.names.length > 0 ? each.names : CLUSTERS;
            client.subscribe(TypeUrl.endpoints, names);
          }
          client.read();
          client.checkReferences();
        }
        // A last change that touches everything, so that rejected versions are out of the way; then accept until nothing comes.
        const changed = createSnapshot(
          [...last.types.values()].flatMap(({ resources }) =>
            [...resources.values()].map((each) => ({ ...each, version: `${each.version}!` })),
          ),
        );
        client.session.publish(changed);
        client.read();
        for (let rounds = 0; WATCHED.some((typeUrl) => client.accept(typeUrl)); rounds++) {
          expect(rounds).toBeLessThan(50);
          client.read();
          client.checkReferences();
        }
        const versions = (resources: Iterable<Resource>) =>
          new Map([...resources].map(({ name, version }) => [name, version]));
        const wanted = (typeUrl: Resource["typeUrl"]) => typeSnapshot(changed, typeUrl).resources;
        expect(versions(client.store.get(TypeUrl.cluster)?.values() ?? [])).toEqual(
          versions(wanted(TypeUrl.cluster).values()),
        );
        for (const typeUrl of [TypeUrl.route, TypeUrl.extensionConfig])
          expect(versions(client.store.get(typeUrl)?.values() ?? [])).toEqual(versions(wanted(typeUrl).values()));
        for (const [name, resource] of wanted(TypeUrl.endpoints)) {
          if (names.includes(name))
            expect(client.store.get(TypeUrl.endpoints)?.get(name)?.version).toBe(resource.version);
        }
        const quiet = client.responses;
        client.session.publish(changed);
        client.read();
        expect(client.responses, "an unchanged publish sends nothing").toBe(quiet);
      }),
      { numRuns: 1000 },
    );
  });
});
