import { describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { RealConsul } from "../../../test/fixtures/discovery/real-consul.ts";
import { consulPart } from "../../../test/fixtures/integration-parts.ts";
import { describeRecordStore, Told } from "../../../test/state/record-store-suite.ts";
import { ConsulStore } from "./consul-store.ts";

/** On a real Consul; npm run test:integration -- consul */

const part = consulPart();
const skip = "reason" in part ? { skip: part.reason } : {};

describeRecordStore(
  "Record store in Consul",
  async () => {
    const consul = await RealConsul.start({ durable: true });
    return {
      open: async () => new ConsulStore({ address: consul.address }),
      shared: true,
      durable: true,
      clear: async () => {
        await fetch(`${consul.address}/v1/kv/?recurse`, { method: "DELETE" });
      },
      outage: { begin: () => consul.stop(), end: () => consul.restart() },
      dispose: () => consul.close(),
    };
  },
  skip,
);

describe.skipIf("reason" in part)("Consul as a state store", () => {
  it("gets back what it has lost, from whoever knows it", async () => {
    const consul = await RealConsul.start();
    const [one, other] = [new ConsulStore({ address: consul.address }), new ConsulStore({ address: consul.address })];
    try {
      // A new cluster begins with a low index: it has to be below this one's.
      for (let n = 0; n < 60; n++) await one.put("busy", String(n));
      const told = [new Told(one, "w/"), new Told(other, "w/")];
      for (const key of ["w/a", "w/b"]) await one.put(key, `of ${key}`);
      for (const each of told) await each.until({ "w/a": "of w/a", "w/b": "of w/b" });
      await consul.stop();
      await consul.restart(); // in memory: it knows nothing any more
      await waitFor(async () => (await one.list("w/")).size === 2, {
        what: "the records to be back",
        timeoutMs: 30_000,
      });
      await one.put("w/c", "new");
      for (const each of told) await each.until({ "w/a": "of w/a", "w/b": "of w/b", "w/c": "new" });
      for (const { all } of told) {
        const full = all.findIndex((records) => records.size === 2);
        expect(all.slice(full).filter((records) => records.size < 2)).toEqual([]);
      }
    } finally {
      await Promise.all([one.close(), other.close()]);
      await consul.close();
    }
  });

  it("uses its token, and says that it may not without", async () => {
    const token = "3b1f1a1e-7f0c-4d0b-9c59-0d5cdd2a1111";
    const acl = { enabled: true, default_policy: "deny", tokens: { initial_management: token } };
    const consul = await RealConsul.start({ configuration: { acl }, token });
    const [may, mayNot] = [
      new ConsulStore({ address: consul.address, token: () => token }),
      new ConsulStore({ address: consul.address }),
    ];
    try {
      expect((await may.put("w/a", "1")).ok).toBe(true);
      await expect(mayNot.put("w/a", "2")).rejects.toMatchObject({ reason: "failed" });
      for (const call of [
        () => mayNot.get("w/a"),
        () => mayNot.list("w/"),
        () => mayNot.list("none/"),
        () => mayNot.delete("w/a"),
      ])
        await expect(call()).rejects.toMatchObject({ reason: "failed" });
      // To such a token Consul shows a store without records; that must not be believed.
      const [told, untold] = [new Told(may, "w/"), new Told(mayNot, "w/")];
      await told.until({ "w/a": "1" });
      await waitFor(() => untold.failures.length > 0, { what: "the failure" });
      expect(untold.all).toEqual([]);
    } finally {
      await Promise.all([may.close(), mayNot.close()]);
      await consul.close();
    }
  });
});
