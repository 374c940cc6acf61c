/** What holds for several `tokenmesh serve` on one state store, whichever it is: real processes, a real store, and a client of each server. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../envoy/harness/index.ts";
import { TypeUrl } from "../../protos/index.ts";
import type { StateView } from "../../xds-server/state-view.ts";
import { AckingClient } from "../fixtures/acking-client.ts";
import { freePort } from "../fixtures/redis-server.ts";
import { buildServer, ServeProcess, tokenmesh } from "../fixtures/serve-process.ts";
import { APP, FILES } from "../fixtures/state/served-files.ts";

export interface StateFixture {
  /** An empty place in the store. */
  fresh(): Promise<{ readonly state: string; readonly env?: Readonly<Record<string, string>> }>;
  /** Takes the store away without a word, and gives it back with all it had. */
  readonly outage: { begin(): Promise<void>; end(): Promise<void> };
  dispose(): Promise<void>;
}

const BASE = `${FILES}---
apiVersion: tokenmesh.io/v1alpha1
kind: DiscoverySource
metadata: {name: own}
spec: {registry: {}, quiet: 0s, drain: 0s}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: llm, annotations: {tokenmesh.io/endpoints-from: own/llm}}
spec: {hosts: [llm.test], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC}
`;

const ADDED = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: added}
spec:
  hosts: [added.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.0.1.1}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: added}
spec: {hosts: ["*"], gateways: [edge], http: [{route: [{destination: {host: added.test}}]}]}
`;

const LLM = "outbound|80||llm.test";
const NEW = "outbound|80||added.test";
const INSTANCE = "/api/v1/registry/services/llm/instances";
const DOCUMENT = "/apis/networking.istio.io/v1/namespaces/default/serviceentries/added";
const WAIT = { timeoutMs: 30_000 };

/** @param skip a reason why nothing of it can run here */
export function describeReplicas(
  name: string,
  makeFixture: () => Promise<StateFixture>,
  { skip }: { readonly skip?: string } = {},
): void {
  describe(name, () => {
    if (skip !== undefined) {
      it("runs", (context) => context.skip(skip));
      return;
    }
    let fixture: StateFixture;
    let place: Awaited<ReturnType<StateFixture["fresh"]>>;
    let dir: string;
    const servers = new Set<ServeProcess>();
    const clients = new Set<AckingClient>();

    const options = () => ({ config: join(dir, "base.yaml"), ...place });
    const serve = async () => {
      const server = await ServeProcess.start(options());
      servers.add(server);
      return server;
    };
    const kill = async (server: ServeProcess) => {
      servers.delete(server);
      await server.kill();
    };
    const follow = ({ xds }: ServeProcess, id: string) => {
      const client = new AckingClient(id, [APP, LLM, NEW]);
      clients.add(client);
      client.connect(xds);
      return client;
    };
    const ask = async ({ api }: ServeProcess, path: string, method = "GET", body?: object) => {
      const answer = await fetch(api + path, { method, ...(body && { body: JSON.stringify(body) }) });
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
    };
    const register = (server: ServeProcess, id: string, address: string) =>
      ask(server, `${INSTANCE}/${id}`, "PUT", { address, port: 8000, ttl: 3600 });
    const weight = (server: ServeProcess, value: string) =>
      tokenmesh("weights", "set", APP, `10.0.0.1:80=${value}`, "--server", server.api);
    const version = async (server: ServeProcess) => (await ask(server, "/api/v1/snapshot")).body.version;
    const stateOf = async (server: ServeProcess) => (await ask(server, "/api/v1/status")).body.state as StateView;
    const same = (one: ServeProcess, other: ServeProcess) =>
      waitFor(async () => (await version(one)) === (await version(other)), { ...WAIT, what: "the same version" });
    const apply = async (server: ServeProcess) => {
      const file = join(dir, "added.yaml");
      writeFileSync(file, ADDED);
      const accept = setInterval(() => {
        for (const each of clients) each.take();
      }, 20);
      try {
        return await tokenmesh("apply", "--wait", "--timeout", "30s", file, "--server", server.api);
      } finally {
        clearInterval(accept);
      }
    };

    beforeAll(async () => {
      buildServer();
      fixture = await makeFixture();
    }, 300_000);
    afterAll(async () => {
      await fixture?.dispose();
    });
    beforeEach(async () => {
      dir = mkdtempSync(join(tmpdir(), "tokenmesh-replicas-"));
      writeFileSync(join(dir, "base.yaml"), BASE);
      place = await fixture.fresh();
    });
    afterEach(async () => {
      for (const client of clients) client.close();
      clients.clear();
      for (const server of [...servers]) await kill(server);
      rmSync(dir, { recursive: true, force: true });
    });

    it("what one is told, the other serves: documents, weights and instances, in equal versions", async () => {
      const [one, two] = [await serve(), await serve()] as const;
      const [first, second] = [follow(one, "first"), follow(two, "second")];
      for (const client of [first, second]) await client.until(APP, ["10.0.0.1:80=1", "10.0.0.2:80=1"]);

      const applied = await apply(one);
      expect([applied.code, applied.stderr]).toEqual([0, ""]);
      expect(applied.stdout).toContain("accepted by 1 Envoy");
      expect(first.versions(TypeUrl.cluster)).toHaveProperty([NEW]);
      await second.until(NEW, ["10.0.1.1:80=1"]);

      const set = await weight(two, "7");
      expect([set.code, set.stderr]).toEqual([0, ""]);
      for (const client of [first, second]) await client.until(APP, ["10.0.0.1:80=7", "10.0.0.2:80=1"]);

      expect((await register(one, "a", "10.0.2.1")).status).toBe(201);
      for (const client of [first, second]) await client.until(LLM, ["10.0.2.1:8000=1"]);
      expect((await register(two, "b", "10.0.2.2")).status).toBe(201);
      for (const client of [first, second]) await client.until(LLM, ["10.0.2.1:8000=1", "10.0.2.2:8000=1"]);
      expect((await ask(one, `${INSTANCE}/a/heartbeat`, "POST")).status).toBe(200);
      expect((await ask(two, `${INSTANCE}/a`, "DELETE")).status).toBe(200);
      for (const client of [first, second]) await client.until(LLM, ["10.0.2.2:8000=1"]);

      await same(one, two);
      for (const type of [TypeUrl.cluster, TypeUrl.endpoints, TypeUrl.listener])
        expect(first.versions(type)).toEqual(second.versions(type));
      // A version of the store is one for all: who has read at one replica may change at the other.
      const shown = (await ask(one, DOCUMENT)).body as { metadata: { resourceVersion: string } };
      const { resourceVersion } = shown.metadata;
      expect((await ask(two, `${DOCUMENT}?resourceVersion=stale`, "DELETE")).status).toBe(409);
      expect((await ask(two, `${DOCUMENT}?resourceVersion=${resourceVersion}`, "DELETE")).status).toBe(422);
    }, 120_000);

    it("a killed one comes back with everything, what was changed meanwhile too, and sends its clients nothing again", async () => {
      const [one, two] = [await serve(), await serve()] as const;
      const client = follow(one, "client");
      expect((await apply(one)).code).toBe(0);
      expect((await weight(one, "7")).code).toBe(0);
      expect((await register(one, "a", "10.0.2.1")).status).toBe(201);
      await client.until(LLM, ["10.0.2.1:8000=1"]);
      await client.until(APP, ["10.0.0.1:80=7", "10.0.0.2:80=1"]);
      await same(one, two);
      const before = await version(one);
      await kill(one);

      expect((await ask(two, `${INSTANCE}/a`)).status).toBe(200);
      const back = await serve();
      expect(await version(back)).toBe(before);
      client.connect(back.xds);
      const settled = async () => {
        client.take();
        const { nodes } = (await ask(back, "/api/v1/nodes")).body as { nodes: { settled: boolean }[] };
        return nodes.length === 1 && nodes[0]?.settled;
      };
      await waitFor(settled, { ...WAIT, what: "the client to be in order" });
      expect(client.received).toBe(0);

      await kill(back);
      expect((await weight(two, "9")).code).toBe(0);
      expect((await register(two, "b", "10.0.2.2")).status).toBe(201);
      const after = await version(two);
      await kill(two);
      const alone = await serve();
      expect(await version(alone)).toBe(after);
      client.connect(alone.xds);
      await client.until(APP, ["10.0.0.1:80=9", "10.0.0.2:80=1"]);
      await client.until(LLM, ["10.0.2.1:8000=1", "10.0.2.2:8000=1"]);
      expect(client.received).toBe(2);
    }, 120_000);

    it("a store that is away changes nothing that is served; changes are refused with a code, until it is back", async () => {
      const [one, two] = [await serve(), await serve()] as const;
      const [first, second] = [follow(one, "first"), follow(two, "second")];
      expect((await apply(one)).code).toBe(0);
      expect((await weight(one, "7")).code).toBe(0);
      expect((await register(one, "a", "10.0.2.1")).status).toBe(201);
      for (const client of [first, second]) {
        await client.until(APP, ["10.0.0.1:80=7", "10.0.0.2:80=1"]);
        await client.until(LLM, ["10.0.2.1:8000=1"]);
      }
      await same(one, two);
      const before = await version(one);

      await fixture.outage.begin();
      try {
        for (const server of [one, two]) {
          const refusal = { error: { code: "TM_STORE_UNAVAILABLE" } };
          expect(await register(server, "b", "10.0.2.2")).toMatchObject({ status: 503, body: refusal });
          const change = { changes: [{ cluster: APP, address: "10.0.0.1", port: 80, weight: 9 }] };
          expect(await ask(server, "/api/v1/weights", "PUT", change)).toMatchObject({ status: 503, body: refusal });
          const set = await weight(server, "9");
          expect([set.code, set.stderr]).toEqual([2, expect.stringContaining("TM_STORE_UNAVAILABLE")]);
          const shown = (await ask(server, DOCUMENT)).body as { spec: object };
          const put = await ask(server, DOCUMENT, "PUT", { spec: { ...shown.spec, hosts: ["added.test", "b.test"] } });
          expect([put.status, JSON.stringify(put.body)]).toEqual([
            503,
            expect.stringContaining("TM_STORE_UNAVAILABLE"),
          ]);
          expect((await ask(server, `${INSTANCE}/a/heartbeat`, "POST")).status).toBe(200);
          await waitFor(() => server.output.includes("the state store cannot be read"), {
            ...WAIT,
            what: "the warning",
          });
          expect((await ask(server, "/readyz")).status).toBe(200);
          expect(await version(server)).toBe(before);
          await waitFor(async () => (await stateOf(server)).unread?.includes("documents") === true, {
            ...WAIT,
            what: "the outage in the status",
          });
          const state = await stateOf(server);
          expect(state).toMatchObject({ ready: true, available: false, effect: expect.stringContaining("served") });
          expect(Date.parse(state.awaySince ?? "")).toBeLessThanOrEqual(Date.now());
        }
        const late = await ServeProcess.startUnready(options(), await freePort());
        servers.add(late);
        expect((await fetch(`${late.api}/readyz`)).status).toBe(503);
        expect((await ask(late, "/api/v1/status")).body).toMatchObject({
          ready: false,
          state: { ready: false },
          groups: [],
        });

        await fixture.outage.end();
        await waitFor(async () => (await fetch(`${late.api}/readyz`)).ok, { ...WAIT, what: "the late server" });
        expect(await version(late)).toBe(before);
      } finally {
        await fixture.outage.end();
      }
      await waitFor(async () => (await register(one, "b", "10.0.2.2")).status < 300, { ...WAIT, what: "a change" });
      await waitFor(async () => (await weight(two, "9")).code === 0, { ...WAIT, what: "a change" });
      for (const client of [first, second]) {
        await client.until(APP, ["10.0.0.1:80=9", "10.0.0.2:80=1"]);
        await client.until(LLM, ["10.0.2.1:8000=1", "10.0.2.2:8000=1"]);
        expect(client.versions(TypeUrl.cluster)).toHaveProperty([NEW]);
      }
      await same(one, two);
      for (const server of [one, two])
        await waitFor(async () => (await stateOf(server)).available, { ...WAIT, what: "the store in the status" });
    }, 180_000);
  });
}
