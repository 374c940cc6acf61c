import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { open as openFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { describeRecordStore } from "../../../test/state/record-store-suite.ts";
import { CHANGE_FILE, decodeChanges, encodeChanges, type FileChange } from "./change-file.ts";
import { FileStore } from "./file-store.ts";
import { encodeRecord, fileNameOf } from "./record-file.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const out = mkdtempSync(join(root, "node_modules", ".file-store-test-"));
const compiled = join(out, "state", "records", "file-store.js");

const newFolder = () => mkdtempSync(join(tmpdir(), "tokenmesh-state-"));

describeRecordStore("Record store in a folder", async () => {
  const folder = newFolder();
  return {
    open: () => FileStore.open(folder),
    shared: false,
    durable: true,
    clear: async () => {
      for (const name of readdirSync(folder)) if (name.endsWith(".record")) rmSync(join(folder, name));
    },
    dispose: async () => rmSync(folder, { recursive: true }),
  };
});

describe("the folder of state", () => {
  let folder: string;
  const stores: FileStore[] = [];
  const children: ChildProcess[] = [];
  const open = async (path = folder) => {
    const store = await FileStore.open(path);
    stores.push(store);
    return store;
  };

  // Node 20 does not run TypeScript.
  beforeAll(() => {
    const source = fileURLToPath(new URL("file-store.ts", import.meta.url));
    const options = [
      "--ignoreConfig",
      "--module",
      "nodenext",
      "--target",
      "es2023",
      "--rewriteRelativeImportExtensions",
    ];
    const tsc = join(root, "node_modules", ".bin", "tsc");
    const built = spawnSync(tsc, [
      source,
      ...options,
      "--rootDir",
      join(root, "xds-server"),
      "--outDir",
      out,
      "--noCheck",
    ]);
    expect(String(built.stdout)).toBe("");
  }, 60_000);
  afterAll(() => rmSync(out, { recursive: true, force: true }));
  beforeEach(() => {
    folder = newFolder();
  });
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
    for (const child of children.splice(0)) {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGKILL");
        await once(child, "exit");
      }
    }
    rmSync(folder, { recursive: true, force: true });
  });

  /** Another process, which puts 1, 2, 3, ... under "a", short and long by turns, and prints each once it is stored. */
  function writer(write = 'store.put("a", String(n).padEnd(n % 2 ? 5 : 60_000, " "))') {
    const code = `import { FileStore } from ${JSON.stringify(pathToFileURL(compiled).href)};
      const store = await FileStore.open(${JSON.stringify(folder)});
      for (let n = 1; ; n++) { await ${write}; console.log(n); }`;
    const stdio = ["ignore", "pipe", "inherit"] as const;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", code], { stdio: [...stdio] });
    children.push(child);
    const state = { child, last: 0 };
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      for (const line of text.split("\n")) state.last = Math.max(state.last, Number(line));
    });
    return state;
  }

  it("keeps a write that was killed at any byte out: what was there before counts", async () => {
    const store = await open();
    await store.put("a/b", "old");
    await store.close();
    const bytes = encodeRecord("a/b", { value: "new", version: "x-1" });
    for (let length = 0; length <= bytes.length; length++) {
      writeFileSync(join(folder, `${fileNameOf("a/b")}.new`), bytes.subarray(0, length));
      const again = await open();
      expect((await again.get("a/b"))?.value).toBe("old");
      await again.close();
    }
    expect(readdirSync(folder)).toEqual(["a+b.record", expect.stringMatching(/^tokenmesh\.lock\.\d+$/)]);
  });

  it("has every write that was acknowledged when its process is killed, and the folder is free at once", async () => {
    for (const atLeast of [1, 7, 20]) {
      const state = writer();
      await waitFor(() => state.last >= atLeast, { what: "writes" });
      state.child.kill("SIGKILL");
      await once(state.child, "close");
      const store = await open();
      const value = Number((await store.get("a"))?.value.trim());
      expect([state.last, state.last + 1]).toContain(value);
      await store.close();
    }
  }, 60_000);

  it("has all records of a change or none when its process is killed, and all that were acknowledged", async () => {
    // Of each change one record is new, one is gone, and the others have another value.
    const write = `store.changeAll([
      ...["a", "b", "c", "d"].map((key) => ({ key, value: String(n).padEnd(n % 2 ? 5 : 20_000, " ") })),
      { key: "n" + n, value: "new" }, { key: "n" + (n - 1), value: undefined } ])`;
    for (const atLeast of [1, 4, 9, 15]) {
      const state = writer(write);
      await waitFor(() => state.last >= atLeast, { what: "changes" });
      state.child.kill("SIGKILL");
      await once(state.child, "close");
      const store = await open();
      const all = await store.list("");
      const [n] = ["a", "b", "c", "d"].map((key) => Number(all.get(key)?.value.trim()));
      expect([state.last, state.last + 1]).toContain(n);
      expect(Object.fromEntries([...all].map(([key, { value }]) => [key, value.trim()]))).toEqual({
        ...{ a: String(n), b: String(n), c: String(n), d: String(n) },
        [`n${n}`]: "new",
      });
      expect(new Set(readdirSync(folder)).has(CHANGE_FILE)).toBe(false);
      await store.delete(`n${n}`);
      await store.close();
    }
  }, 60_000);

  describe("a change of several records", () => {
    const changes: readonly FileChange[] = [
      ["a/b", { value: "new", version: "x-1" }],
      ["c", undefined],
      ["d", { value: "käse\n", version: "x-2" }],
    ];
    const values = async (store: FileStore) =>
      Object.fromEntries([...(await store.list(""))].map(([key, { value }]) => [key, value]));
    const old = { "a/b": "old", c: "old" };
    const made = { "a/b": "new", d: "käse\n" };
    const begin = async () => {
      const store = await open();
      for (const [key, value] of Object.entries(old)) await store.put(key, value);
      await store.close();
    };

    it("that was killed at any byte of its file did not happen; from then on it did, wherever it stopped", async () => {
      await begin();
      const bytes = encodeChanges(changes);
      for (let length = 0; length <= bytes.length; length += 7) {
        writeFileSync(join(folder, `${CHANGE_FILE}.new`), bytes.subarray(0, length));
        const store = await open();
        expect(await values(store)).toEqual(old);
        await store.close();
      }
      // What of it was done before the end: nothing, the first, the first two, all.
      for (let done = 0; done <= changes.length; done++) {
        for (const name of readdirSync(folder)) if (name.endsWith(".record")) rmSync(join(folder, name));
        await begin();
        writeFileSync(join(folder, CHANGE_FILE), bytes);
        for (const [key, record] of changes.slice(0, done)) {
          if (record === undefined) rmSync(join(folder, fileNameOf(key)));
          else writeFileSync(join(folder, fileNameOf(key)), encodeRecord(key, record));
        }
        const store = await open();
        expect(await values(store)).toEqual(made);
        expect((await store.get("d"))?.version).toBe("x-2");
        await store.close();
        expect(readdirSync(folder).sort()).toEqual([
          "a+b.record",
          "d.record",
          expect.stringMatching(/^tokenmesh\.lock/),
        ]);
      }
    });

    it("whose file is not what was written stops the start", async () => {
      await begin();
      const bytes = encodeChanges(changes);
      expect(decodeChanges(bytes)).toEqual(changes);
      for (let at = 0; at < bytes.length; at += 3) {
        const flipped = Buffer.from(bytes);
        flipped[at] = (flipped[at] ?? 0) ^ 1;
        expect(decodeChanges(flipped)).toBeUndefined();
      }
      for (const other of [bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.from(" ")]), Buffer.alloc(0)]) {
        writeFileSync(join(folder, CHANGE_FILE), other);
        await expect(open()).rejects.toThrow(/^TM_STATE_DAMAGED .*tokenmesh\.changes;/);
      }
    });

    it("is made when its file is there, also where the disk then fails: before the next change it is finished", async () => {
      await begin();
      const store = await open();
      // A folder in the place of a record's file cannot be written over.
      const blocked = join(folder, "d.record");
      mkdirSync(blocked);
      const all = [
        { key: "a/b", value: "new" },
        { key: "c", value: undefined },
        { key: "d", value: "käse\n" },
      ];
      expect(await store.changeAll(all)).toMatchObject({ ok: true });
      expect([await values(store), readdirSync(folder).includes(CHANGE_FILE)]).toEqual([made, true]);
      await expect(store.put("d", "2")).rejects.toMatchObject({ reason: "failed" });
      await expect(store.changeAll([{ key: "d", value: "2" }])).rejects.toMatchObject({ reason: "failed" });
      expect(await values(store)).toEqual(made);
      rmSync(blocked, { recursive: true });
      expect(await store.put("d", "2")).toMatchObject({ ok: true });
      expect(readdirSync(folder).includes(CHANGE_FILE)).toBe(false);
      await store.close();
      expect(await values(await open())).toEqual({ ...made, d: "2" });
    });

    it("waits for the disk: for its file, its name, all records and their names, before its file goes", async () => {
      const store = await open();
      const handle = await openFile(folder);
      const FileHandle = Object.getPrototypeOf(handle) as { sync(): Promise<void> };
      await handle.close();
      const seen: (readonly string[])[] = [];
      const sync = vi.spyOn(FileHandle, "sync").mockImplementation(async () => {
        seen.push(readdirSync(folder).filter((name) => !name.startsWith("tokenmesh.lock")));
      });
      try {
        await store.changeAll([
          { key: "a", value: "1" },
          { key: "b", value: "1" },
        ]);
      } finally {
        sync.mockRestore();
      }
      expect(seen.map((names) => [...names].sort())).toEqual([
        [`${CHANGE_FILE}.new`],
        [CHANGE_FILE],
        ["a.record.new", CHANGE_FILE],
        ["a.record", "b.record.new", CHANGE_FILE],
        ["a.record", "b.record", CHANGE_FILE],
        ["a.record", "b.record"],
      ]);
    });
  });

  it("is for one process at a time, also one that hangs, and for one store within a process", async () => {
    const other = writer();
    await waitFor(() => other.last > 0, { what: "the other process" });
    await expect(open()).rejects.toMatchObject({ code: "TM_STATE_LOCKED" });
    other.child.kill("SIGSTOP");
    await expect(open()).rejects.toMatchObject({ code: "TM_STATE_LOCKED" });
    other.child.kill("SIGKILL");
    await once(other.child, "close");
    const store = await open();
    await expect(open()).rejects.toMatchObject({ code: "TM_STATE_LOCKED" });
    await store.close();
    await (await open()).close();
  }, 30_000);

  it("lets one of many that come at once in, after a crash too", async () => {
    const crashed = writer();
    await waitFor(() => crashed.last > 0, { what: "the other process" });
    crashed.child.kill("SIGKILL");
    await once(crashed.child, "close");
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => open()));
    expect(results.filter(({ status }) => status === "fulfilled").length).toBe(1);
  });

  it("writes nothing more when its lock was taken away", async () => {
    const store = await open();
    await store.put("a", "1");
    for (const name of readdirSync(folder)) if (name.startsWith("tokenmesh.lock")) rmSync(join(folder, name));
    const other = await open();
    await expect(store.put("a", "2")).rejects.toMatchObject({ reason: "unavailable" });
    await expect(store.delete("a")).rejects.toMatchObject({ reason: "unavailable" });
    expect((await other.put("a", "3")).ok).toBe(true);
    await store.close();
    await expect(open()).rejects.toMatchObject({ code: "TM_STATE_LOCKED" });
  });

  it("does not start on files that are not what was written, and names them", async () => {
    const store = await open();
    for (const key of ["a", "b", "c/d"]) await store.put(key, `value of ${key}`);
    await store.close();
    const path = join(folder, "a.record");
    const bytes = readFileSync(path);
    const refused = async (names: string) => {
      await expect(open()).rejects.toThrow(new RegExp(`^TM_STATE_DAMAGED .*: ${names};`));
    };
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Buffer.from(bytes);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      writeFileSync(path, flipped);
      await refused("a.record");
    }
    for (const other of [bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.from("x")]), Buffer.alloc(0)]) {
      writeFileSync(path, other);
      await refused("a.record");
    }
    // Longer than any record, and than what Node would read.
    truncateSync(path, 5 * 2 ** 30);
    await refused("a.record");
    writeFileSync(path, bytes);
    renameSync(join(folder, "b.record"), join(folder, "e.record"));
    await refused("e.record");
  });

  it("leaves files of others alone, and is nobody else's to read", async () => {
    for (const name of ["README", "x.tmp", "MINE.record", ".record", "UPPER.record.new"])
      writeFileSync(join(folder, name), "mine");
    const inner = join(folder, "made", "by", "us");
    const store = await open(inner);
    await store.put("a", "secret");
    expect(statSync(inner).mode & 0o777).toBe(0o700);
    expect(statSync(join(inner, "a.record")).mode & 0o777).toBe(0o600);
    await (await open()).close();
    expect(readdirSync(folder)).toEqual(
      expect.arrayContaining(["README", "MINE.record", "UPPER.record.new", "made", "x.tmp"]),
    );
  });

  it("ends what it is writing before it gives the folder away", async () => {
    const store = await open();
    let written = false;
    const put = store.put("a", "x".repeat(900_000)).then(({ ok }) => {
      written = ok;
    });
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
    await store.close();
    expect(written).toBe(true);
    await put;
    await expect(store.put("a", "late")).rejects.toMatchObject({ reason: "unavailable" });
    expect((await (await open()).get("a"))?.value.length).toBe(900_000);
  });

  it("waits for the disk: for the bytes before they get the name, and for the name", async () => {
    const store = await open();
    const handle = await openFile(folder);
    const FileHandle = Object.getPrototypeOf(handle) as { sync(): Promise<void> };
    await handle.close();
    const seen: (readonly string[])[] = [];
    const records = () => readdirSync(folder).filter((name) => !name.startsWith("tokenmesh.lock"));
    const sync = vi.spyOn(FileHandle, "sync").mockImplementation(async () => {
      seen.push(records());
    });
    try {
      await store.put("a", "1");
      await store.delete("a");
    } finally {
      sync.mockRestore();
    }
    expect(seen).toEqual([["a.record.new"], ["a.record"], []]);
  });

  it("works in folders whose path is longer than an address of a socket, and fails with a code where no folder can be", async () => {
    const deep = join(folder, "d".repeat(120), "e".repeat(120));
    expect((await (await open(deep)).put("a", "1")).ok).toBe(true);
    writeFileSync(join(folder, "file"), "");
    await expect(open(join(folder, "file"))).rejects.toMatchObject({ code: "TM_USAGE" });
  });

  it("says what went wrong with the disk, keeps what it has, and goes on", async () => {
    const store = await open();
    await store.put("a", "1");
    rmSync(folder, { recursive: true });
    await expect(store.put("a", "2")).rejects.toMatchObject({ reason: "unavailable" });
    expect((await store.get("a"))?.value).toBe("1");
  });

  it("does not keep its process alive and answers nobody at its socket", async () => {
    await open();
    const socket = connect(join(folder, "tokenmesh.lock.1"));
    socket.on("error", () => {});
    await once(socket, "close");
  });
});
