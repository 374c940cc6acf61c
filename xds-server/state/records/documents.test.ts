import { afterEach, describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { silentLogger } from "../../log.ts";
import { DocumentStore } from "./documents.ts";
import { MAX_DOCUMENT_ID_LENGTH, MAX_VALUE_BYTES } from "./limits.ts";
import { MemoryRecords, MemoryStore } from "./memory-store.ts";

const ID = "VirtualService/default/shop-routing";

describe("documents of the API", () => {
  const open: DocumentStore[] = [];
  const openOn = async (shared: MemoryRecords, log = silentLogger) => {
    const documents = new DocumentStore(new MemoryStore(shared), { log });
    open.push(documents);
    await documents.ready;
    return documents;
  };
  const texts = (documents: DocumentStore) =>
    Object.fromEntries([...documents.documents()].map(([identity, { text }]) => [identity, text]));
  afterEach(() => {
    for (const documents of open.splice(0)) documents.close();
  });

  it("are there when the call returns, in order of their identity, with versions", async () => {
    const documents = await openOn(new MemoryRecords());
    let calls = 0;
    documents.watch(() => calls++);
    await documents.put("VirtualService/b/z", "z");
    const put = await documents.put(ID, `{"kind":\n"VirtualService"}`);
    expect([...documents.documents().keys()]).toEqual(["VirtualService/b/z", ID]);
    expect(documents.documents().get(ID)).toEqual({
      text: `{"kind":\n"VirtualService"}`,
      version: put.ok && put.version,
    });
    expect(calls).toBe(2);
    const before = documents.documents();
    expect(await documents.delete(ID)).toEqual({ ok: true, version: "" });
    expect([texts(documents), before.size, calls]).toEqual([{ "VirtualService/b/z": "z" }, 2, 3]);
  });

  it("are changed only from the version that is expected; a conflict shows what there is", async () => {
    const documents = await openOn(new MemoryRecords());
    const first = await documents.put(ID, "1", { expected: null });
    const version = first.ok ? first.version : "";
    expect(await documents.put(ID, "2", { expected: null })).toEqual({ ok: false, current: { text: "1", version } });
    expect(await documents.put(ID, "2", { expected: version })).toMatchObject({ ok: true });
    expect(await documents.delete(ID, { expected: version })).toMatchObject({ ok: false, current: { text: "2" } });
    expect(await documents.delete("Gateway/default/none", { expected: version })).toEqual({
      ok: false,
      current: undefined,
    });
  });

  it("reach other replicas, and are there after a restart", async () => {
    const shared = new MemoryRecords();
    const [one, other] = [await openOn(shared), await openOn(shared)];
    await one.put(ID, "1");
    await waitFor(() => texts(other)[ID] === "1", { what: "the other replica" });
    await other.delete(ID);
    await waitFor(() => texts(one)[ID] === undefined, { what: "the deletion" });
    await one.put("Gateway/default/edge", "2");
    expect(texts(await openOn(shared))).toEqual({ "Gateway/default/edge": "2" });
  });

  it("have identities of three parts, and a size", async () => {
    const documents = await openOn(new MemoryRecords());
    for (const identity of [
      "",
      "a",
      "a/b",
      "a/b/",
      "a//c",
      "a/b/c/d",
      "a/b/c\n",
      "a b/c/d",
      `K/n/${"x".repeat(MAX_DOCUMENT_ID_LENGTH)}`,
    ])
      await expect(documents.put(identity, "")).rejects.toMatchObject({ code: "TM_RECORD_INVALID" });
    await expect(documents.put(ID, "x".repeat(MAX_VALUE_BYTES))).rejects.toMatchObject({ code: "TM_RECORD_INVALID" });
    expect(texts(documents)).toEqual({});
  });

  it("stay as they were last when a record cannot be read, which is said", async () => {
    const shared = new MemoryRecords();
    const lines: string[] = [];
    const documents = await openOn(shared, (_, message) => lines.push(message));
    await documents.put(ID, "1");
    const [key = ""] = shared.records.keys();
    for (const text of ["", "no line break", "Gateway/default/other\n{}"]) {
      shared.records.set(key, { value: text, version: text });
      shared.observers.changed(key);
      const before = lines.length;
      await waitFor(() => lines.length > before, { what: "the error" });
      expect(texts(documents)).toEqual({ [ID]: "1" });
    }
  });
});
