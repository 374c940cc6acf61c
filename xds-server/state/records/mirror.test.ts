import { describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { ToldStore } from "../../../test/state/told-store.ts";
import { silentLogger } from "../../log.ts";
import { StoreError } from "../store-error.ts";
import { RecordMirror } from "./mirror.ts";

function open(store = new ToldStore(), together = false) {
  const changes: string[][] = [];
  const outages: unknown[] = [];
  const mirror: RecordMirror = new RecordMirror(store, {
    prefix: "m/",
    log: silentLogger,
    together,
    changed: (keys) => changes.push([...keys].sort()),
    availability: () => outages.push([mirror.failure?.message, mirror.records.size]),
  });
  const values = () => Object.fromEntries([...mirror.records].map(([key, { value }]) => [key, value]));
  return { store, mirror, changes, outages, values };
}

describe("a mirror of records", () => {
  it("begins with what there is, and says once that it has begun, also with nothing", async () => {
    const { store, mirror, changes, values } = open();
    await store.inner.put("m/a", "1");
    await store.inner.put("other", "1");
    expect([mirror.started, changes]).toEqual([false, []]);
    await store.tell();
    await mirror.ready;
    expect([mirror.started, values(), changes]).toEqual([true, { "m/a": "1" }, [["m/a"]]]);
    await store.tell();
    expect(changes.length).toBe(1);
    const empty = open();
    await empty.store.tell();
    await empty.mirror.ready;
    expect(empty.changes).toEqual([[]]);
  });

  it("has what it wrote at once, and says which keys are others", async () => {
    const { store, mirror, changes, values } = open();
    await store.tell();
    await mirror.put("m/a", "1");
    expect(values()).toEqual({ "m/a": "1" });
    await mirror.put("m/a", "2");
    await mirror.delete("m/a");
    expect([values(), changes]).toEqual([{}, [[], ["m/a"], ["m/a"], ["m/a"]]]);
    await store.tell();
    expect([values(), changes.length]).toEqual([{}, 4]);
  });

  it("does not go back to what the store told late", async () => {
    const { store, mirror, changes, values } = open();
    await mirror.put("m/a", "old");
    const old = await store.inner.list("");
    await store.tell(old);
    await mirror.put("m/a", "new");
    await store.tell(old);
    expect(values()).toEqual({ "m/a": "new" });
    await waitFor(() => store.gets > 0, { what: "the store to be asked" });
    await store.tell(old);
    expect(values()).toEqual({ "m/a": "new" });
    await mirror.delete("m/a");
    await store.tell(old);
    expect(values()).toEqual({});
    expect(changes.filter((keys) => keys.length > 0).length).toBe(3);
  });

  it("takes over what others wrote behind its own write", async () => {
    const { store, mirror, values } = open();
    await store.tell();
    await mirror.put("m/a", "mine");
    await store.inner.put("m/a", "theirs");
    await store.tell();
    await waitFor(() => values()["m/a"] === "theirs", { what: "the other value" });
    await store.tell();
    await store.inner.put("m/a", "third");
    const before = store.gets;
    await store.tell();
    expect([values(), store.gets]).toEqual([{ "m/a": "third" }, before]);
  });

  it("keeps the newer of an answer and of what was told while it was under way", async () => {
    const { store, mirror, values } = open();
    await store.tell();
    store.beforeAnswer = async () => {
      store.beforeAnswer = () => {};
      await store.inner.put("m/a", "theirs");
      await store.tell();
    };
    await mirror.put("m/a", "mine");
    expect(values()).toEqual({ "m/a": "theirs" });
  });

  it("asks again when the store has told something while it was asked", async () => {
    const { store, mirror, values } = open();
    await store.tell();
    await store.inner.put("m/a", "first");
    store.beforeGot = async () => {
      store.beforeGot = () => {};
      await store.inner.put("m/a", "second");
      await store.tell();
    };
    expect((await mirror.refresh("m/a"))?.value).toBe("second");
    expect([values(), store.gets]).toEqual([{ "m/a": "second" }, 2]);
  });

  it("asks again when it could not be answered", async () => {
    const { store, mirror, values } = open();
    await store.tell();
    await mirror.put("m/a", "mine");
    await store.inner.put("m/a", "theirs");
    store.fault = new StoreError("unavailable", "away");
    await store.tell();
    await waitFor(() => store.gets > 0, { what: "the question" });
    expect(values()).toEqual({ "m/a": "mine" });
    store.fault = undefined;
    await waitFor(() => values()["m/a"] === "theirs", { what: "the other value" });
    mirror.close();
  });

  it("takes over what is there at a conflict", async () => {
    const { store, mirror, values } = open();
    await store.tell();
    await store.inner.put("m/a", "theirs");
    expect(await mirror.put("m/a", "mine", { expected: null })).toMatchObject({ ok: false });
    expect(values()).toEqual({ "m/a": "theirs" });
  });

  it("keeps everything through an outage, and shows it", async () => {
    const { store, mirror, outages, values } = open();
    await mirror.put("m/a", "1");
    await store.tell();
    store.fail();
    expect([mirror.failure?.message, values()]).toEqual(["away", { "m/a": "1" }]);
    store.fault = new StoreError("unavailable", "away");
    await expect(mirror.put("m/a", "2")).rejects.toBe(store.fault);
    expect(values()).toEqual({ "m/a": "1" });
    store.fault = undefined;
    await store.inner.put("m/b", "2");
    await store.tell();
    await store.tell();
    expect(mirror.failure).toBeUndefined();
    expect(outages).toEqual([
      ["away", 1],
      [undefined, 2],
    ]);
  });

  describe("of records that are changed together", () => {
    const both = (value: string) => ["m/a", "m/b"].map((key) => ({ key, value }));
    const values2 = (value: string) => ({ "m/a": value, "m/b": value });

    it("has what it wrote at once, with one call, and nothing of what it could not write", async () => {
      const { store, mirror, changes, values } = open(new ToldStore(), true);
      await store.tell();
      expect(await mirror.changeAll(both("1"))).toMatchObject({ ok: true });
      expect([values(), changes]).toEqual([values2("1"), [[], ["m/a", "m/b"]]]);
      await store.inner.put("m/b", "theirs");
      const stale = [
        { key: "m/a", value: "2" },
        { key: "m/b", value: "2", expected: null },
      ];
      expect(await mirror.changeAll(stale)).toMatchObject({ ok: false, key: "m/b", current: { value: "theirs" } });
      expect([values(), changes.at(-1)]).toEqual([{ "m/a": "1", "m/b": "theirs" }, ["m/b"]]);
      await store.tell();
      await mirror.changeAll([
        { key: "m/a", value: undefined },
        { key: "m/c", value: "3" },
      ]);
      expect([values(), changes.at(-1)]).toEqual([{ "m/b": "theirs", "m/c": "3" }, ["m/a", "m/c"]]);
    });

    it("never takes over a part of what others wrote behind its own write", async () => {
      for (const own of [both("mine"), both("mine").slice(0, 1)]) {
        const { store, mirror, changes, values } = open(new ToldStore(), true);
        await store.inner.changeAll(both("old"));
        const old = await store.inner.list("");
        await store.tell(old);
        await mirror.changeAll(own);
        await store.inner.changeAll(both("theirs"));
        changes.length = 0;
        await store.tell();
        await waitFor(() => values()["m/a"] === "theirs", { what: "the other values" });
        expect([values(), changes]).toEqual([values2("theirs"), [["m/a", "m/b"]]]);
        // What is told late of the time before changes nothing.
        const lists = store.lists;
        await store.tell(old);
        await waitFor(() => store.lists > lists, { what: "the store to be asked" });
        expect([values(), changes.length]).toEqual([values2("theirs"), 1]);
      }
    });

    it("takes over all of it when something was told, or written, while the answer was under way", async () => {
      const { store, mirror, changes, values } = open(new ToldStore(), true);
      await store.tell();
      store.beforeAnswer = async () => {
        store.beforeAnswer = () => {};
        await store.inner.changeAll(both("theirs"));
        await store.tell();
      };
      await mirror.changeAll(both("mine"));
      expect([values(), changes.slice(1)]).toEqual([values2("theirs"), [["m/a", "m/b"]]]);
      await store.inner.changeAll(both("third"));
      let written: Promise<unknown> | undefined;
      store.beforeGot = async () => {
        store.beforeGot = () => {};
        written = mirror.changeAll(both("fourth"));
        await written;
      };
      await mirror.changeAll([{ key: "m/a", value: "x" }]);
      store.beforeAnswer = () => {};
      await store.tell();
      await written;
      expect([values()["m/a"], values()["m/b"]]).toEqual([
        (await store.inner.get("m/a"))?.value,
        (await store.inner.get("m/b"))?.value,
      ]);
    });

    it("asks again when it could not be answered", async () => {
      const { store, mirror, values } = open(new ToldStore(), true);
      await store.tell();
      await mirror.changeAll(both("mine"));
      await store.inner.changeAll(both("theirs"));
      store.fault = new StoreError("unavailable", "away");
      await store.tell();
      expect(values()).toEqual(values2("mine"));
      store.fault = undefined;
      await waitFor(() => values()["m/a"] === "theirs", { what: "the other values" });
      expect(values()).toEqual(values2("theirs"));
      mirror.close();
    });
  });

  it("ends its watch and tells nothing more", async () => {
    const { store, mirror, changes } = open();
    await store.tell();
    mirror.close();
    expect(store.watches).toBe(0);
    await mirror.put("m/a", "1");
    expect(changes.length).toBe(1);
  });
});
