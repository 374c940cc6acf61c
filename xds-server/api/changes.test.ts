import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FakeServer } from "../../test/fixtures/api/ports.ts";
import { silentLogger } from "../log.ts";
import { type Api, createApi } from "./api-server.ts";
import { type NodeTypeView, type NodeView, StoreUnavailable } from "./ports.ts";

const gateway = (name: string, port = 0) => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ${name}}
spec: {servers: [{port: {number: ${port}, name: http, protocol: HTTP}, hosts: ["*"]}]}
---`;

const nack = (at: string, version = "v1") => ({ version, resources: ["edge"], message: "no such filter", at });
const node = (id: string, settled: boolean, types: Record<string, NodeTypeView> = {}): NodeView => ({
  id,
  cluster: "edge",
  group: "default",
  peer: "127.0.0.1:1",
  connectedSince: "2026-01-01T00:00:00.000Z",
  settled,
  types,
});
const type = (state: string, nacked?: ReturnType<typeof nack>): NodeTypeView => ({
  state,
  ackedVersion: "v0",
  ...(nacked === undefined ? {} : { nack: nacked }),
});

describe("changes through the API", () => {
  let server: FakeServer;
  let api: Api;
  beforeEach(async () => {
    server = new FakeServer();
    server.settle();
    const access = { token: undefined, clientCertificates: false };
    api = await createApi(server.ports(), { log: silentLogger, version: "0", ...access });
  });
  afterEach(() => api.close());

  const post = (path: string, payload: string | object) =>
    api.inject({ method: "POST", url: `/api/v1/${path}`, headers: { host: "localhost" }, payload });
  const weights = (payload: object, query = "") =>
    api.inject({ method: "PUT", url: `/api/v1/weights${query}`, headers: { host: "localhost" }, payload });

  it("validate says all errors with their places, and all is well with 200", async () => {
    expect((await post("validate", gateway("a") + gateway("b"))).json()).toMatchObject({
      valid: true,
      documents: 2,
      errors: [],
    });
    const files = [
      { file: "a.yaml", text: gateway("a") },
      { file: "b.yaml", text: gateway("b").replace("hosts", "host") },
    ];
    const answer = await post("validate", { files });
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toMatchObject({
      valid: false,
      errors: expect.arrayContaining([expect.objectContaining({ file: "b.yaml", line: 5 })]),
    });
    const syntax = (await post("validate", "a: [")).json();
    expect(syntax).toMatchObject({ valid: false, errors: [{ code: "TM_CONFIG_SYNTAX", file: "body", line: 1 }] });
    expect(server.stored.size).toBe(0);
  });

  it("apply stores all documents or none", async () => {
    const bad = await post("apply", gateway("a") + gateway("b").replace("HTTP", "HTTPX"));
    expect([bad.statusCode, bad.json().error.code, server.stored.size]).toEqual([422, "TM_API_INVALID", 0]);
    const good = await post("apply", gateway("a") + gateway("b"));
    expect(good.json()).toMatchObject({
      versions: { default: "v2" },
      documents: [
        { identity: "Gateway/default/a", result: "created", resourceVersion: "1" },
        { identity: "Gateway/default/b", result: "created", resourceVersion: "2" },
      ],
    });
    const again = (await post("apply", gateway("a") + gateway("b", 81))).json();
    expect(again.documents.map(({ result }: { result: string }) => result)).toEqual(["unchanged", "configured"]);
  });

  it("apply takes arrays and lists of JSON, and nothing twice", async () => {
    const document = (name: string) => ({
      apiVersion: "networking.istio.io/v1",
      kind: "Gateway",
      metadata: { name },
      spec: { servers: [{ port: { number: 0, name: "http", protocol: "HTTP" }, hosts: ["*"] }] },
    });
    expect((await post("apply", [document("a"), document("b")])).json().documents).toHaveLength(2);
    expect((await post("apply", { kind: "List", items: [document("c")] })).json().documents).toHaveLength(1);
    const twice = await post("apply", [document("a"), document("a")]);
    expect([twice.statusCode, twice.body]).toEqual([400, expect.stringContaining("twice")]);
    for (const empty of ["", "---", "[]", "{}", "1", '{"files":[{}]}'])
      expect((await post("apply", empty)).statusCode).toBe(400);
  });

  it("stores several as one change: what cannot be stored in the middle leaves nothing", async () => {
    await post("apply", gateway("a"));
    server.onStore = (identity) => {
      if (identity.endsWith("/c")) throw new Error("disk full");
    };
    expect((await post("apply", gateway("a", 81) + gateway("b") + gateway("c"))).statusCode).toBe(500);
    expect([...server.stored.keys()]).toEqual(["Gateway/default/a"]);
    expect(JSON.stringify(server.stored.get("Gateway/default/a")?.value)).toContain('"number":0');
    server.onStore = () => {};
    expect((await post("apply", gateway("a") + gateway("b") + gateway("c"))).statusCode).toBe(200);
    expect(server.changes.at(-1)).toEqual(["Gateway/default/b", "Gateway/default/c"]);
    const before = server.changes.length;
    expect((await post("apply", gateway("a") + gateway("b"))).statusCode).toBe(200);
    expect(server.changes.length).toBe(before);
  });

  it("refuses all of them for one that has another version, naming it", async () => {
    await post("apply", gateway("a") + gateway("b"));
    const conflict = async (...documents: readonly string[]) => {
      const answer = await post("apply", documents.join(""));
      return [answer.statusCode, answer.json().error.code, answer.json().error.message];
    };
    const old = gateway("b", 82).replace("{name: b}", '{name: b, resourceVersion: "77"}');
    const message = "Gateway/default/b has not the version 77 any more";
    expect(await conflict(gateway("a", 81), old, gateway("c"))).toEqual([409, "TM_API_CONFLICT", message]);
    // Another replica, between the judgement and the change of the store.
    server.onStore = (identity) => {
      const known = server.stored.get("Gateway/default/b");
      if (identity.endsWith("/a") && known) server.stored.set(known.identity, { ...known, version: "of another" });
    };
    expect(await conflict(gateway("a", 81), gateway("b", 82), gateway("c"))).toEqual([
      409,
      "TM_API_CONFLICT",
      "Gateway/default/b was changed at the same time by another request",
    ]);
    expect([...server.stored.values()].map(({ identity, version }) => [identity, version])).toEqual([
      ["Gateway/default/a", "1"],
      ["Gateway/default/b", "of another"],
    ]);
  });

  describe("what turns out not to be servable", () => {
    const away = () => {
      throw new StoreUnavailable("no answer in 2000 ms");
    };
    const errorOf = async (answer: ReturnType<typeof post>) => {
      const { statusCode, body } = await answer;
      const { code, message, remedy, details } = JSON.parse(body).error;
      return { statusCode, code, message, remedy, messages: details.map((each: { message: string }) => each.message) };
    };
    /** Another replica's doing, after the judgement. */
    const breakIt = () => server.file({ kind: "Gateway", metadata: { name: "broken" } });

    it("is taken back as one change", async () => {
      await post("apply", gateway("b"));
      const { length } = server.changes;
      server.onStore = breakIt;
      expect((await errorOf(post("apply", gateway("a") + gateway("b", 81)))).code).toBe("TM_API_INVALID");
      expect(server.changes.slice(length)).toEqual([
        ["Gateway/default/a", "Gateway/default/b"],
        ["Gateway/default/a", "Gateway/default/b"],
      ]);
      expect([...server.stored.keys()]).toEqual(["Gateway/default/b"]);
      expect(JSON.stringify(server.stored.get("Gateway/default/b")?.value)).toContain('"number":0');
    });

    it("is named when it cannot be taken back, after a second attempt, with what is wrong", async () => {
      server.onStore = breakIt;
      server.onDelete = away;
      const error = await errorOf(post("apply", gateway("a") + gateway("b")));
      expect(error).toMatchObject({
        statusCode: 503,
        code: "TM_API_PARTIAL",
        message: "the change failed and 2 documents of it stand: what is in force now does not go with it",
        remedy: expect.stringContaining("send all documents of the change once more"),
      });
      expect(error.messages.slice(0, 2)).toEqual(
        ["a", "b"].map((name) => `Gateway/default/${name} is stored and could not be taken back: no answer in 2000 ms`),
      );
      expect(error.messages.length).toBeGreaterThan(2);
      expect([server.changes.length, server.stored.size]).toEqual([3, 2]);
    });

    it("is not what somebody else has stored meanwhile", async () => {
      server.onStore = breakIt;
      server.onSettle = () => {
        const known = server.stored.get("Gateway/default/a");
        if (known) server.stored.set(known.identity, { ...known, version: "of another" });
      };
      expect((await errorOf(post("apply", gateway("a") + gateway("b")))).code).toBe("TM_API_INVALID");
      expect([...server.stored.values()].map(({ identity, version }) => [identity, version])).toEqual([
        ["Gateway/default/a", "of another"],
      ]);
    });

    it("is nothing when the store does not answer: all of it was done, or none", async () => {
      server.onStore = away;
      for (const body of [gateway("z"), gateway("y") + gateway("z")])
        expect((await errorOf(post("apply", body))).code).toBe("TM_STORE_UNAVAILABLE");
      expect([server.changes.length, server.stored.size]).toEqual([2, 0]);
    });
  });

  it("changes take turns: what one was judged by is still so when it is stored", async () => {
    const events: string[] = [];
    server.onStore = () => events.push("store");
    server.onSettle = () => events.push("settle");
    await Promise.all(["a", "b", "c", "d"].map((name) => post("apply", gateway(name))));
    expect(events).toEqual(["a", "b", "c", "d"].flatMap(() => ["store", "settle"]));
  });

  describe("waiting for Envoys", () => {
    const wait = (timeout = "2s") => post(`apply?wait=acked&timeout=${timeout}`, gateway("a"));

    it("answers when all of them have accepted", async () => {
      server.nodes = [node("one", true, { LDS: type("synced") }), node("two", true, { LDS: type("synced") })];
      let looks = 0;
      server.onSettle = () => {
        server.nodes = [node("one", false, { LDS: type("sent") }), node("two", false, { LDS: type("synced") })];
      };
      const { nodes } = server;
      Object.defineProperty(server, "nodes", {
        get: () => (++looks > 3 ? nodes : [node("one", false, { LDS: type("sent") })]),
        set: () => {},
      });
      const answer = await wait();
      expect([answer.statusCode, answer.json().wait]).toEqual([200, { outcome: "acked", nodes: 2 }]);
      expect(looks).toBeGreaterThan(3);
    });

    it("answers at once when no Envoy is connected", async () => {
      expect((await wait()).json().wait).toEqual({ outcome: "acked", nodes: 0 });
    });

    it("tells a rejection: which Envoy, which resource, why; the change stays", async () => {
      server.onSettle = () => {
        server.nodes = [node("good", true), node("bad", false, { LDS: type("nacked", nack("2026-01-02")) })];
      };
      const answer = await wait();
      expect(answer.statusCode).toBe(409);
      expect(answer.json()).toMatchObject({
        documents: [{ identity: "Gateway/default/a", result: "created" }],
        error: {
          code: "TM_API_NACKED",
          details: [{ node: "bad", message: "LDS: no such filter", resources: ["edge"] }],
        },
      });
      expect(server.stored.size).toBe(1);
    });

    it("a rejection from before, of a type that did not change, says nothing about this one", async () => {
      server.nodes = [node("bad", false, { RDS: type("nacked", nack("2026-01-01")), CDS: type("synced") })];
      expect((await wait()).json().wait).toEqual({ outcome: "acked", nodes: 1 });
    });

    it("a rejection from before, of a type that changed, waits for the answer to the change", async () => {
      const old = node("bad", false, { CDS: type("nacked", nack("2026-01-01")) });
      server.nodes = [old];
      server.onSettle = () => {
        // The answer comes after two looks.
        let looks = 0;
        const answered = node("bad", false, { CDS: type("nacked", nack("2026-01-02", "v2")) });
        Object.defineProperty(server, "nodes", { get: () => [++looks > 2 ? answered : old] });
      };
      const answer = await wait();
      expect([answer.statusCode, answer.json().error.code]).toEqual([409, "TM_API_NACKED"]);
    });

    it("504 with what is missing when it takes too long", async () => {
      server.nodes = [node("slow", false, { LDS: type("sent") })];
      const settled = server.onSettle;
      server.onSettle = () => {
        settled();
        setImmediate(() => {
          server.clock += 10_000;
        });
      };
      const answer = await wait("5s");
      expect(answer.statusCode).toBe(504);
      expect(answer.json()).toMatchObject({
        documents: [{ result: "created" }],
        error: { code: "TM_API_TIMEOUT", details: [{ node: "slow", message: "LDS: sent" }] },
      });
    });

    it.each(["1h", "x", "-1s", "121s", ""])("refuses the time %j before anything happens", async (time) => {
      expect((await wait(time)).statusCode).toBe(400);
      expect((await post("apply?wait=all", gateway("a"))).statusCode).toBe(400);
      expect(server.stored.size).toBe(0);
    });
  });

  it("rollback answers the version, or why there is none", async () => {
    expect((await post("rollback", "")).json()).toMatchObject({ error: { details: [] } });
    expect((await post("rollback", "")).statusCode).toBe(409);
    server.rollbackTo = "v7";
    expect((await post("rollback", { group: "edge" })).json()).toEqual({ group: "edge", version: "v7" });
    for (const body of ["[]", '{"group":1}', '{"grup":"a"}', "x"])
      expect((await post("rollback", body)).statusCode).toBe(400);
  });

  it("diff answers by group and type, and refuses what is not valid", async () => {
    expect((await post("diff", gateway("a"))).json().groups).toMatchObject({ default: { CDS: { added: ["a"] } } });
    expect((await post("diff", gateway("a").replace("hosts", "host"))).statusCode).toBe(422);
  });

  describe("weights", () => {
    const endpoint = { cluster: "c", address: "10.0.0.1", port: 80, health: "healthy", locality: "", weight: 1 };
    const change = (weight: number | null, address = "10.0.0.1", cluster = "c") => ({
      cluster,
      address,
      port: 80,
      weight,
    });
    beforeEach(() => {
      server.endpoints = [endpoint, { ...endpoint, address: "10.0.0.2" }];
    });

    it("are set all at once; the answer has the new version", async () => {
      const answer = await weights({ changes: [change(0), change(100, "10.0.0.2")] });
      expect([answer.statusCode, answer.json()]).toEqual([200, { version: "v1", snapshot: "v1", changes: 2 }]);
      const list = await api.inject({ url: "/api/v1/weights", headers: { host: "localhost" } });
      expect(list.json().changes).toEqual([change(0), change(100, "10.0.0.2")]);
    });

    it("for nothing that is served are refused, all of them; null is not", async () => {
      const answer = await weights({ changes: [change(1), change(1, "10.0.0.9"), change(1, "10.0.0.1", "d")] });
      expect(answer.statusCode).toBe(422);
      expect(answer.json().error).toMatchObject({
        code: "TM_API_UNKNOWN_ENDPOINT",
        details: [
          { field: "/changes/1", message: "the cluster has no endpoint 10.0.0.9:80" },
          { field: "/changes/2", message: "there is no cluster d" },
        ],
      });
      expect(server.weights).toEqual([]);
      expect((await weights({ changes: [change(null, "10.0.0.9")] })).statusCode).toBe(200);
    });

    it("look at Envoys for who waits only: there may be hundreds", async () => {
      let looks = 0;
      Object.defineProperty(server, "nodes", {
        get: () => {
          looks++;
          return [];
        },
      });
      expect((await weights({ changes: [change(7)] })).statusCode).toBe(200);
      expect(looks).toBe(0);
      expect((await weights({ changes: [change(8)] }, "?wait=acked")).statusCode).toBe(200);
      expect(looks).toBe(2);
    });

    it("of an endpoint that is gone may be set as long as one is", async () => {
      await weights({ changes: [change(7)] });
      server.endpoints = [];
      expect((await weights({ changes: [change(8)] })).statusCode).toBe(200);
      expect((await weights({ changes: [change(8, "10.0.0.2")] })).statusCode).toBe(422);
    });

    it.each(
      [[], [change(-1)], [change(1.5)], [change(1_000_001)], [{ ...change(1), port: 65_536 }], [{ cluster: "c" }]].map(
        (each) => [each],
      ),
    )("refuses %j", async (changes) => {
      expect((await weights({ changes })).statusCode).toBe(400);
    });
  });
});
