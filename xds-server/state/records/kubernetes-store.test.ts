import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { FakeApiServer } from "../../../test/fixtures/discovery/kubernetes-api-server.ts";
import { systemTiming } from "../../../test/fixtures/discovery/kubernetes-timing.ts";
import { describeRecordStore, Told } from "../../../test/state/record-store-suite.ts";
import type { StoreError } from "../store-error.ts";
import { KubernetesRecordStore } from "./kubernetes-store.ts";

const namespace = "mesh";

async function start() {
  const server = await FakeApiServer.start();
  const cluster = { server: server.url, namespace, credentials: async () => ({ headers: {}, tls: {} }) };
  const open = () => new KubernetesRecordStore({ cluster, timing: systemTiming });
  return { server, cluster, open };
}

describeRecordStore("Record store on ConfigMaps (fake API server)", async () => {
  const { server, open } = await start();
  return {
    open: async () => open(),
    shared: true,
    durable: true,
    clear: async () => server.clear(`/api/v1/namespaces/${namespace}/configmaps`),
    outage: { begin: () => server.stop(), end: () => server.listen() },
    dispose: () => server.stop(),
  };
});

describe("KubernetesRecordStore", () => {
  const opened: KubernetesRecordStore[] = [];
  let server: FakeApiServer;
  let openAnother: () => KubernetesRecordStore;
  let store: KubernetesRecordStore;
  const path = `/api/v1/namespaces/${namespace}/configmaps`;

  beforeEach(async () => {
    const started = await start();
    server = started.server;
    store = started.open();
    openAnother = started.open;
    opened.push(store);
  });
  afterEach(async () => {
    for (const each of opened.splice(0)) await each.close();
    await server.stop();
  });

  const answer = (status: number, body: object, method = "GET") => {
    server.intercept = (request, response) => {
      if (request.method !== method) return false;
      request.resume();
      response.writeHead(status).end(JSON.stringify(body));
      return true;
    };
  };

  it("reads long lists in pages, and watches all of it with one request", async () => {
    for (let n = 0; n < 25; n++) await store.put(`k/${n}`, String(n));
    server.requests.length = 0;
    expect((await store.list("k/")).size).toBe(25);
    expect(server.requests.length).toBe(3);
    const told = [new Told(store, "k/1"), new Told(store, "k/"), new Told(store, "")];
    await waitFor(() => told.every(({ all }) => all.length === 1), { what: "all watches to be told" });
    await waitFor(() => server.watches === 1, { what: "the watch" });
    expect(told.map(({ all }) => all[0]?.size)).toEqual([11, 25, 25]);
    expect(server.requests.filter((each) => each.includes("watch=true")).length).toBe(1);
  });

  it("begins a list again whose first version was forgotten", async () => {
    for (let n = 0; n < 15; n++) await store.put(`k/${n}`, String(n));
    let pages = 0;
    server.intercept = (request) => {
      if (request.method === "GET" && ++pages === 2) {
        server.rewind(1_000);
        server.compact();
      }
      return false;
    };
    expect((await store.list("k/")).size).toBe(15);
    expect(pages).toBe(4);
  });

  it("takes two changes to the same value for two, of which one wins", async () => {
    const first = await store.put("a", "1", { expected: null });
    if (!first.ok) throw new Error("conflict");
    const both = await Promise.all([1, 2].map(() => store.put("a", "1", { expected: first.version })));
    expect(both.filter(({ ok }) => ok).length).toBe(1);
  });

  it("tells the version of a change to the same value", async () => {
    await store.put("a", "1");
    const told = new Told(store, "");
    await told.until({ a: "1" });
    const again = await store.put("a", "1");
    await waitFor(() => again.ok && told.all.at(-1)?.get("a")?.version === again.version, { what: "the version" });
  });

  it("never takes a version that is none for any version", async () => {
    await store.put("a", "1");
    for (const expected of ["0", "", "-1", "x", "1.0", "00"]) {
      expect(await store.put("a", "2", { expected })).toMatchObject({ ok: false, current: { value: "1" } });
      expect(await store.delete("a", { expected })).toMatchObject({ ok: false, current: { value: "1" } });
      expect(await store.put("b", "2", { expected })).toEqual({ ok: false, current: undefined });
    }
    expect((await store.list("")).size).toBe(1);
  });

  it("leaves what is no record of its own alone", async () => {
    const headers = { "content-type": "application/json" };
    const labels = { "app.kubernetes.io/managed-by": "tokenmesh", "tokenmesh.io/record": "true" };
    const body = JSON.stringify({ metadata: { name: "by-hand", labels }, data: { value: "x" } });
    await fetch(server.url + path, { method: "POST", headers, body });
    const told = new Told(store, "");
    await told.until({});
    expect((await store.list("")).size).toBe(0);
  });

  it("says which failures may pass by themselves", async () => {
    for (const [status, reason] of [
      [429, "busy"],
      [500, "unavailable"],
      [503, "unavailable"],
      [403, "failed"],
      [422, "failed"],
    ] as const) {
      answer(status, { reason: "x", message: "no" });
      await expect(store.get("a")).rejects.toMatchObject({ name: "StoreError", reason });
      await expect(store.list("")).rejects.toMatchObject({ reason });
      answer(status, { reason: "x", message: "no" }, "PUT");
      await expect(store.put("a", "1")).rejects.toMatchObject({ reason });
    }
    answer(200, { metadata: {} }, "PUT");
    await expect(store.put("a", "1")).rejects.toMatchObject({ reason: "failed" });
    answer(404, { reason: "NotFound" }, "PUT");
    await store.put("busy", "1", { expected: null });
    await expect(store.put("busy", "2")).rejects.toMatchObject({ reason: "busy" });
  });

  describe("a change of several records whose server ends in between", () => {
    const changes = [
      { key: "b/a", value: "new" },
      { key: "b/b", value: undefined },
      { key: "b/c", value: "new" },
    ];
    const old = { "b/a": "old", "b/b": "old" };
    const made = { "b/a": "new", "b/c": "new" };
    /** Another server, that does its first so many writes and then no more. */
    const endingAfter = async (writes: number) => {
      const other = openAnother();
      let done = 0;
      server.intercept = (request, response) => {
        if (request.method === "GET" || ++done <= writes) return false;
        request.resume();
        response.destroy();
        return true;
      };
      const result = await other.changeAll(changes).catch((error: StoreError) => error.reason);
      server.intercept = undefined;
      await other.close();
      return { result, done };
    };

    it("is made or not, for who lists, reads and watches; and whoever writes next goes on from there", async () => {
      // Create, three marks, the decision; then two values and a removal, and the end of the change itself.
      for (let writes = 0; writes <= 9; writes++) {
        server.clear(path);
        for (const [key, value] of Object.entries(old)) await store.put(key, value);
        const before = await store.list("");
        const told = new Told(store, "b/");
        await told.until(old);
        const { result } = await endingAfter(writes);
        const isMade = writes >= 5;
        expect(isMade ? result : [result]).toEqual(isMade ? expect.objectContaining({ ok: true }) : ["unavailable"]);
        const expected: Record<string, string> = isMade ? made : old;
        await told.until(expected);
        const listed = await store.list("");
        expect(Object.fromEntries([...listed].map(([key, { value }]) => [key, value]))).toEqual(expected);
        for (const key of ["b/a", "b/b", "b/c"]) expect(await store.get(key)).toEqual(listed.get(key));
        if (!isMade) expect(listed).toEqual(before);
        for (const all of told.all)
          expect([old, made]).toContainEqual(Object.fromEntries([...all].map(([key, { value }]) => [key, value])));
        expect(told.all.length).toBe(isMade ? 2 : 1);
        told.end();
        // Each of the records can be changed from the version that is shown, alone and together.
        const [first, second] = [listed.get("b/a")?.version ?? null, listed.get("b/b")?.version ?? null];
        expect(await store.put("b/a", "next", { expected: "1" })).toMatchObject({ ok: false });
        expect(await store.put("b/b", "next", { expected: second })).toMatchObject({ ok: true });
        const result2 = await store.changeAll([
          { key: "b/a", value: "next", expected: first },
          { key: "b/c", value: "next", expected: listed.get("b/c")?.version ?? null },
        ]);
        expect(result2).toMatchObject({ ok: true });
        const after = await store.list("");
        expect([...after.values()].map(({ value }) => value)).toEqual(["next", "next", "next"]);
        expect(after.get("b/a")?.version).toBe(result2.ok && result2.versions[0]);
      }
    }, 60_000);

    it("is given up by who needs one of its records, and not made afterwards", async () => {
      for (const [key, value] of Object.entries(old)) await store.put(key, value);
      const other = openAnother();
      let held: (() => void) | undefined;
      // The decision of the other, the only PUT of a change, waits until somebody else has written.
      server.intercept = (request, response) => {
        if (held !== undefined || request.method !== "PUT" || !request.url?.includes("tokenmesh-change-")) return false;
        held = () => server.answer(request, response);
        return true;
      };
      const changing = other.changeAll(
        changes.map((change) => ({ ...change, expected: change.key === "b/c" ? null : undefined })),
      );
      await waitFor(() => held !== undefined, { what: "the decision" });
      expect(await store.put("b/c", "mine", { expected: null })).toMatchObject({ ok: true });
      held?.();
      expect(await changing).toMatchObject({ ok: false, key: "b/c", current: { value: "mine" } });
      const all = await store.list("");
      expect(Object.fromEntries([...all].map(([key, { value }]) => [key, value]))).toEqual({ ...old, "b/c": "mine" });
      await other.close();
    });

    it("refuses more than a ConfigMap takes", async () => {
      const long = (bytes: number) => randomBytes(bytes).toString("base64");
      const large = Array.from({ length: 2 }, (_, n) => ({ key: `l/${n}`, value: long(660_000) }));
      await expect(store.changeAll(large)).rejects.toMatchObject({ code: "TM_STATE_TOO_LARGE" });
      expect(await store.list("")).toEqual(new Map());
    });
  });

  it("is of a namespace, and of nothing else", () => {
    const cluster = {
      server: "http://127.0.0.1:1",
      namespace: "../../apis",
      credentials: async () => ({ headers: {}, tls: {} }),
    };
    for (const wrong of ["", "a/b", "A", "-a", "..", "x".repeat(64), undefined]) {
      const options = { cluster, timing: systemTiming, ...(wrong !== undefined && { namespace: wrong }) };
      expect(() => new KubernetesRecordStore(options)).toThrow(/is no namespace of Kubernetes/);
    }
  });

  it("refuses calls beyond its bound at once", async () => {
    server.intercept = () => true;
    const calls = Array.from({ length: 257 }, (_, n) => store.get(`k/${n}`).catch((error: StoreError) => error.reason));
    expect(await Promise.race(calls)).toBe("busy");
    await store.close();
    expect(new Set(await Promise.all(calls))).toEqual(new Set(["busy", "unavailable"]));
  });
});
