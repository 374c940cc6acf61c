import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ControlPlaneFixture, discovered } from "../../test/fixtures/control-plane.ts";
import { typeSnapshot } from "../cache/index.ts";
import { TestClient, TYPES, type Type } from "../stream/checklist/test-client.ts";

/** A day of changes, disconnects, slow readers and heartbeats in turned time: what the server keeps does not grow. */

const SERVICES = 20;
const CLIENTS = 6;
const STEP_MS = 10_000;
const HOUR_STEPS = 3_600_000 / STEP_MS;
const STEPS_PER_TURN = 20;
const TTL_MS = 60_000;

const base = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {servers: [{port: {number: 0, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: tokenmesh.io/v1alpha1
kind: DiscoverySource
metadata: {name: source}
spec: {registry: {}}
---
apiVersion: tokenmesh.io/v1alpha1
kind: EnvoyResources
metadata: {name: switches}
spec:
  resources:
    - "@type": type.googleapis.com/envoy.service.discovery.v3.Resource
      name: switches
      ttl: ${TTL_MS / 1_000}s
      resource: {"@type": type.googleapis.com/envoy.service.runtime.v3.Runtime, name: switches, layer: {a: 1}}`;
const service = (n: number) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: s${n}, annotations: {tokenmesh.io/endpoints-from: source}}
spec: {hosts: [s${n}.test], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC}`;
const route = (n: number) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: route}
spec: {hosts: ["*"], http: [{route: [{destination: {host: s${n}.test}}]}]}`;

let plane: ControlPlaneFixture;
beforeEach(() => {
  plane = new ControlPlaneFixture();
});
afterEach(() => plane.dispose());

/** https://en.wikipedia.org/wiki/Linear_congruential_generator, the multiplier of Numerical Recipes. */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function heapBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let i = 0; i < 3; i++) collect();
  return process.memoryUsage().heapUsed;
}

/** An Envoy that is never disconnected for longer than a moment; a slow one answers seldom. */
class Envoy {
  readonly #variant: "sotw" | "delta";
  readonly #slow: boolean;
  client: TestClient;
  #unwatch = () => {};

  constructor(variant: "sotw" | "delta", slow: boolean) {
    this.#variant = variant;
    this.#slow = slow;
    this.client = this.connect();
  }

  connect(): TestClient {
    this.#unwatch();
    const snapshot = plane.cache.get("default");
    if (snapshot === undefined) throw new Error("nothing is published");
    const client = new TestClient(this.#variant, snapshot, { ttl: true });
    client.now = plane.clock.now();
    this.client = client;
    this.#unwatch = plane.cache.watch("default", (next) => void client.publish(next));
    client.subscribe("CDS");
    client.subscribe("EDS", ...Array.from({ length: SERVICES }, (_, n) => `outbound|80||s${n}.test`));
    client.subscribe("LDS");
    client.subscribe("RDS", "default/edge/http");
    client.subscribe("RTDS", "switches");
    return client;
  }

  /** Reads what has come, a heartbeat too, and answers. */
  read(random: (below: number) => number): void {
    this.client.now = plane.clock.now();
    this.client.read();
    if (this.#slow && random(20) > 0) return;
    this.settle();
  }

  settle(): void {
    const types: readonly Type[] = ["CDS", "EDS", "LDS", "RDS", "RTDS"];
    let answered = true;
    while (answered) {
      answered = false;
      for (const type of types) while (this.client.answer(type)) answered = true;
      this.client.read();
    }
  }
}

it("a day", { timeout: 120_000 }, async () => {
  const random = chance(7);
  plane.write("base.yaml", base);
  plane.write("services.yaml", ...Array.from({ length: SERVICES }, (_, n) => service(n)));
  for (let n = 0; n < SERVICES; n++) plane.discover(`default/s${n}`, discovered(`10.0.${n}.1`));
  plane.store("VirtualService/default/route", route(0));
  expect(plane.control.load()).toBe("published");
  const envoys = Array.from({ length: CLIENTS }, (_, n) => new Envoy(n % 2 === 0 ? "sotw" : "delta", n >= 4));
  const heap: number[] = [];
  let [changes, reconnects, heartbeats] = [0, 0, 0];

  for (let step = 1; step <= 24 * HOUR_STEPS; step++) {
    // What a weak reference has led to, or was made for, lives until the turn of the event loop is over.
    if (step % STEPS_PER_TURN === 0) await turn();
    const n = random(SERVICES);
    const before = plane.cache.get("default")?.version;
    if (random(30) === 0) plane.store("VirtualService/default/route", route(n), String(step));
    else if (random(2) === 0) plane.weigh(`outbound|80||s${n}.test`, `10.0.${n}.1`, 80, 1 + random(1_000));
    else {
      const count = 1 + random(5);
      const endpoints = Array.from({ length: count }, (_, e) => discovered(`10.0.${n}.${e + 1}`));
      plane.discover(`default/s${n}`, ...endpoints);
    }
    plane.clock.pass(STEP_MS);
    if (plane.cache.get("default")?.version !== before) changes++;
    for (const envoy of envoys) {
      const { responses, carried } = envoy.client;
      envoy.read(random);
      if (envoy.client.responses > responses && envoy.client.carried === carried) heartbeats++;
      if (random(180) === 0) {
        envoy.connect();
        reconnects++;
      }
    }
    if (step % (6 * HOUR_STEPS) === 0) {
      // What the clients have noted is theirs, not the server's.
      for (const envoy of envoys) envoy.connect();
      for (const envoy of envoys) envoy.settle();
      heap.push(heapBytes());
    }
  }
  expect(changes).toBeGreaterThan(6_000);
  expect(reconnects).toBeGreaterThan(200);
  expect(heartbeats).toBeGreaterThan(1_000);
  const [quarter = 0, , , day = 0] = heap;
  expect(day - quarter).toBeLessThan(1_000_000);

  const snapshot = plane.cache.get("default");
  if (snapshot === undefined) throw new Error("nothing is served");
  for (const { client } of envoys) {
    for (const type of ["CDS", "EDS", "LDS", "RDS", "RTDS"] as const) {
      const offered = [...typeSnapshot(snapshot, TYPES[type]).resources.values()];
      expect(client.has(type)).toBe(
        offered
          .map(({ name, version }) => `${name}@${version}`)
          .sort()
          .join(" "),
      );
    }
  }
});
