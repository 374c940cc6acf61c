import { randomBytes } from "node:crypto";
import type { ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { ConsulKv } from "../../../test/fixtures/state/consul-kv.ts";
import { describeRecordStore, Told } from "../../../test/state/record-store-suite.ts";
import { ConsulStore, type ConsulStoreOptions } from "./consul-store.ts";

/** On a fake of its protocol; consul-store.integration.test.ts has the real one. */

describeRecordStore("Record store in a fake Consul", async () => {
  const consul = new ConsulKv();
  await consul.start();
  return {
    open: async () => new ConsulStore({ address: consul.address }),
    shared: true,
    durable: true,
    clear: async () => consul.clear(),
    outage: { begin: () => consul.stop(), end: () => consul.start() },
    dispose: () => consul.stop(),
  };
});

describe("Consul as a state store", () => {
  let consul: ConsulKv;
  const stores: ConsulStore[] = [];
  const open = (options: Partial<ConsulStoreOptions> = {}) => {
    const store = new ConsulStore({ address: consul.address, ...options });
    stores.push(store);
    return store;
  };
  beforeEach(async () => {
    consul = new ConsulKv();
    await consul.start();
  });
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
    await consul.stop();
  });

  it("puts back what Consul has lost, and tells of no loss", async () => {
    const [one, other] = [open(), open()];
    const told = [new Told(one, "w/"), new Told(other, "w/")];
    for (const key of ["w/a", "w/b"]) await one.put(key, `of ${key}`);
    const expected = { "w/a": "of w/a", "w/b": "of w/b" };
    for (const each of told) await each.until(expected);
    await waitFor(() => consul.waiting === 2, { what: "the questions" });
    consul.forget();
    await waitFor(async () => (await one.list("w/")).size === 2, { what: "the records to be back" });
    await one.put("w/c", "new");
    for (const each of told) await each.until({ ...expected, "w/c": "new" });
    for (const { all } of told) {
      const full = all.findIndex((records) => records.size === 2);
      expect(all.slice(full).filter((records) => records.size < 2)).toEqual([]);
    }
  });

  const hostile: readonly [string, (response: ServerResponse) => void][] = [
    ["no JSON", (response) => response.end("<html>")],
    ["what is shown to a token that may not read", (response) => response.end(`{"Results":[],"Errors":null}`)],
    ["an error", (response) => response.writeHead(500).end("No cluster leader\r\nx: y")],
    ["a refusal", (response) => response.writeHead(403).end("ACL not found")],
    ["too long", (response) => endless(response)],
    [
      "a body that breaks off",
      (response) => response.writeHead(200, { "content-length": 10 }).write("[", () => response.destroy()),
    ],
    [
      "values that are not what was written",
      (response) => response.end(`[{"Key":"tokenmesh/w/a","Value":"eA==","Flags":1,"ModifyIndex":7}]`),
    ],
  ];
  it.each(hostile)(
    "keeps what it has when the answer is %s",
    async (_, answer) => {
      const store = open();
      await store.put("w/a", "1");
      const told = new Told(store, "w/");
      await told.until({ "w/a": "1" });
      await waitFor(() => consul.waiting > 0, { what: "the question" });
      consul.hostile = answer;
      consul.clear();
      await waitFor(() => told.failures.length > 0 || told.values === undefined, { what: "the failure" });
      for (const call of [() => store.get("w/a"), () => store.list(""), () => store.put("w/a", "2")])
        await expect(call()).rejects.toMatchObject({ name: "StoreError" });
      expect([told.values, told.failures.length]).toEqual([{ "w/a": "1" }, 1]);
      expect(told.failures[0]?.message.length).toBeLessThan(400);
      consul.hostile = undefined;
      await store.put("w/b", "2");
      await waitFor(() => told.values?.["w/b"] === "2", { what: "the store to be back" });
    },
    30_000,
  );

  it("takes what Consul cannot do now for an outage, and what it refuses for a failure", async () => {
    const store = open();
    for (const [status, reason] of [
      [500, "unavailable"],
      [503, "unavailable"],
      [403, "failed"],
      [413, "failed"],
    ] as const) {
      consul.hostile = (response) => response.writeHead(status).end("no");
      await expect(store.put("a", "1")).rejects.toMatchObject({ reason });
    }
  });

  it("compresses what is long, and refuses what Consul would not take", async () => {
    const store = open();
    // All of what one record may have, as documents are: the suite has that. Here what cannot be made shorter.
    await expect(store.put("b", randomBytes(450 * 1024).toString("base64"))).rejects.toMatchObject({
      code: "TM_RECORD_INVALID",
    });
    await expect(store.put("c", randomBytes(270 * 1024).toString("base64"))).resolves.toMatchObject({ ok: true });
  });

  it("refuses to change more together than a transaction takes, and changes as much", async () => {
    const store = open();
    const many = (count: number) => Array.from({ length: count }, (_, n) => ({ key: `m/${n}`, value: "1" }));
    const tooLarge = { code: "TM_STATE_TOO_LARGE" };
    await expect(store.changeAll(many(65))).rejects.toMatchObject(tooLarge);
    expect(await store.list("m/")).toEqual(new Map());
    expect(await store.changeAll(many(64))).toMatchObject({ ok: true });
    // A deletion that compares is two operations.
    const current = [...(await store.list("m/"))].map(([key, { version }]) => ({
      key,
      value: undefined,
      expected: version,
    }));
    await expect(store.changeAll(current)).rejects.toMatchObject(tooLarge);
    expect(await store.changeAll(current.slice(0, 32))).toMatchObject({ ok: true });
    expect((await store.list("m/")).size).toBe(32);
    // Together 388 KiB compressed, and each of them less than a transaction takes.
    const long = (kibibytes: number) => randomBytes(kibibytes * 768).toString("base64");
    const sizes = (...each: readonly number[]) => each.map((size, n) => ({ key: `l/${n}`, value: long(size) }));
    await expect(store.changeAll(sizes(194, 194, 200))).rejects.toMatchObject(tooLarge);
    expect(await store.list("l/")).toEqual(new Map());
    expect(await store.changeAll(sizes(160, 160, 160))).toMatchObject({ ok: true });
  });

  it("sends its token, as it is at each call", async () => {
    let token = "one";
    const store = open({ token: () => token });
    await store.put("a", "1");
    token = "two";
    await store.get("a");
    expect([...consul.tokens]).toEqual(["one", "two"]);
  });

  it("keeps its records apart from those of another prefix", async () => {
    const [one, other] = [open({ prefix: "a/b/" }), open({ prefix: "a/" })];
    await one.put("x", "1");
    await other.put("x", "2");
    expect([(await one.get("x"))?.value, (await other.get("x"))?.value]).toEqual(["1", "2"]);
  });

  it.each(["", "127.0.0.1:8500", "ftp://a", "http://user:secret@a:1", "http://a:1/v1"])(
    "refuses the address %j without showing it",
    (address) => {
      expect(() => new ConsulStore({ address })).toThrow(/^TM_USAGE (?!.*secret)/);
    },
  );

  it.each(["a", "/", "../", "a//", "a?/"])("refuses the prefix %j", (prefix) => {
    expect(() => open({ prefix })).toThrow(/^TM_USAGE/);
  });
});

/** More than anybody should read. */
function endless(response: ServerResponse): void {
  const chunk = Buffer.alloc(4 * 1024 * 1024, " ");
  const more = () => {
    while (!response.destroyed && response.write(chunk)) {}
    if (!response.destroyed) response.once("drain", more);
  };
  more();
}
