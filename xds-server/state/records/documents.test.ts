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
  const put = (documents: DocumentStore, identity: string, text: string | undefined, expected?: string | null) =>
    documents.changeAll([{ identity, text, expected }]);
  const texts = (documents: DocumentStore) =>
    Object.fromEntries([...documents.documents()].map(([identity, { text }]) => [identity, text]));
  afterEach(() => {
    for (const documents of open.splice(0)) documents.close();
  });

  it("are there when the call returns, in order of their identity, with versions", async () => {
    const documents = await openOn(new MemoryRecords());
    let calls = 0;
    documents.watch(() => calls++);
    await put(documents, "VirtualService/b/z", "z");
    const stored = await put(documents, ID, `{"kind":\n"VirtualService"}`);
    expect([...documents.documents().keys()]).toEqual(["VirtualService/b/z", ID]);
    expect(documents.documents().get(ID)).toEqual({
      text: `{"kind":\n"VirtualService"}`,
      version: stored.ok && stored.versions[0],
    });
    expect(calls).toBe(2);
    const before = documents.documents();
    expect(await put(documents, ID, undefined)).toEqual({ ok: true, versions: [""] });
    expect([texts(documents), before.size, calls]).toEqual([{ "VirtualService/b/z": "z" }, 2, 3]);
  });

  it("are changed only from the version that is expected; a conflict shows what there is", async () => {
    const documents = await openOn(new MemoryRecords());
    const first = await put(documents, ID, "1", null);
    const version = first.ok ? (first.versions[0] ?? "") : "";
    expect(await put(documents, ID, "2", null)).toEqual({
      ok: false,
      identity: ID,
      current: { text: "1", version },
    });
    expect(await put(documents, ID, "2", version)).toMatchObject({ ok: true });
    expect(await put(documents, ID, undefined, version)).toMatchObject({ ok: false, current: { text: "2" } });
    expect(await put(documents, "Gateway/default/none", undefined, version)).toEqual({
      ok: false,
      identity: "Gateway/default/none",
      current: undefined,
    });
  });

  it("reach other replicas, and are there after a restart", async () => {
    const shared = new MemoryRecords();
    const [one, other] = [await openOn(shared), await openOn(shared)];
    await put(one, ID, "1");
    await waitFor(() => texts(other)[ID] === "1", { what: "the other replica" });
    await put(other, ID, undefined);
    await waitFor(() => texts(one)[ID] === undefined, { what: "the deletion" });
    await put(one, "Gateway/default/edge", "2");
    expect(texts(await openOn(shared))).toEqual({ "Gateway/default/edge": "2" });
  });

  it("are changed together: one call of the watchers, with all of them or none, also on other replicas", async () => {
    const shared = new MemoryRecords();
    const [one, other] = [await openOn(shared), await openOn(shared)];
    await put(one, ID, "1");
    await waitFor(() => texts(other)[ID] === "1", { what: "the other replica" });
    const seen: Record<string, string>[][] = [[], []];
    for (const [index, documents] of [one, other].entries()) documents.watch(() => seen[index]?.push(texts(documents)));
    const changes = [
      { identity: "Gateway/default/a", text: "a", expected: null },
      { identity: ID, text: undefined },
      { identity: "Gateway/default/b", text: "b" },
    ];
    expect(await one.changeAll(changes)).toMatchObject({
      ok: true,
      versions: [expect.any(String), "", expect.any(String)],
    });
    const after = { "Gateway/default/a": "a", "Gateway/default/b": "b" };
    await waitFor(() => (seen[1]?.length ?? 0) > 0, { what: "the other replica" });
    expect(seen).toEqual([[after], [after]]);
    expect(await one.changeAll(changes)).toMatchObject({
      ok: false,
      identity: "Gateway/default/a",
      current: { text: "a" },
    });
    await expect(
      one.changeAll([
        { identity: ID, text: "2" },
        { identity: "x", text: "" },
      ]),
    ).rejects.toMatchObject({
      code: "TM_RECORD_INVALID",
    });
    expect([texts(one), seen[0]?.length]).toEqual([after, 1]);
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
      await expect(put(documents, identity, "")).rejects.toMatchObject({ code: "TM_RECORD_INVALID" });
    await expect(put(documents, ID, "x".repeat(MAX_VALUE_BYTES))).rejects.toMatchObject({ code: "TM_RECORD_INVALID" });
    expect(texts(documents)).toEqual({});
  });

  it("stay as they were last when a record cannot be read, which is said", async () => {
    const shared = new MemoryRecords();
    const lines: string[] = [];
    const documents = await openOn(shared, (_, message) => lines.push(message));
    await put(documents, ID, "1");
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
