import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../envoy/harness/wait-for.ts";
import { readConfigFiles } from "./folder.ts";
import { type FolderWatcher, watchFolder } from "./watcher.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "tokenmesh-folder-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const put = (name: string, text = "") => writeFileSync(join(dir, name), text);
const names = () => readConfigFiles([dir]).files.map(({ file }) => file.slice(dir.length + 1));
const codes = () => readConfigFiles([dir]).errors.map(({ code }) => code);

describe("folder", () => {
  it("reads YAML and JSON files of all levels in order of names, and nothing else", () => {
    mkdirSync(join(dir, "sub"));
    for (const name of ["b.yml", "a.yaml", "c.json", "sub/d.yaml", "README.md", ".hidden.yaml", "e.yaml~"]) put(name);
    expect(names()).toEqual(["a.yaml", "b.yml", "c.json", "sub/d.yaml"]);
  });

  it("follows the symlinks of a mounted ConfigMap without reading its files twice", () => {
    mkdirSync(join(dir, "..2026"));
    put("..2026/a.yaml", "one");
    symlinkSync("..2026", join(dir, "..data"));
    symlinkSync("..data/a.yaml", join(dir, "a.yaml"));
    expect(readConfigFiles([dir]).files).toEqual([{ file: join(dir, "a.yaml"), text: "one" }]);
  });

  it("reports what it cannot read, and reads the rest", () => {
    put("ok.yaml", "fine");
    symlinkSync("nowhere.yaml", join(dir, "broken.yaml"));
    symlinkSync(".", join(dir, "loop"));
    expect(names()).toContain("ok.yaml");
    expect(codes()).toContain("TM_CONFIG_UNREADABLE");
    expect(readConfigFiles([join(dir, "missing")]).errors).toMatchObject([{ code: "TM_CONFIG_UNREADABLE" }]);
  });

  it("refuses what is too large", () => {
    put("big.yaml", "x".repeat(1024 * 1024 + 1));
    expect(codes()).toEqual(["TM_CONFIG_TOO_LARGE"]);
    rmSync(join(dir, "big.yaml"));
    for (let i = 0; i < 17; i++) put(`${i}.yaml`, "x".repeat(1024 * 1024));
    expect(codes()).toEqual(["TM_CONFIG_TOO_LARGE"]);
  });

  it("does not wait for a pipe", () => {
    put("a.yaml", "x");
    chmodSync(join(dir, "a.yaml"), 0o644);
    expect(readConfigFiles(["/dev/null"]).errors).toMatchObject([{ code: "TM_CONFIG_UNREADABLE" }]);
  });
});

describe("watcher", () => {
  let watcher: FolderWatcher | undefined;
  afterEach(async () => {
    await watcher?.close();
    watcher = undefined;
  });

  const seen = async (options: object) => {
    const calls: string[] = [];
    watcher = await watchFolder(
      dir,
      () =>
        calls.push(
          readConfigFiles([dir])
            .files.map(({ text }) => text)
            .join(),
        ),
      options,
    );
    return calls;
  };

  it("sees a file that is written, replaced and removed", async () => {
    const calls = await seen({ quietMs: 10, rescanMs: 60_000 });
    const until = (text: string) => waitFor(() => calls.at(-1) === text, { timeoutMs: 5_000, what: `content ${text}` });
    put("a.yaml", "1");
    await until("1");
    put(".a.tmp", "2");
    renameSync(join(dir, ".a.tmp"), join(dir, "a.yaml"));
    await until("2");
    rmSync(join(dir, "a.yaml"));
    await until("");
  });

  it("sees a swapped symlink, at the latest with the next rescan", async () => {
    for (const version of ["1", "2"]) {
      mkdirSync(join(dir, `..${version}`));
      put(`..${version}/a.yaml`, version);
    }
    symlinkSync("..1", join(dir, "..data"));
    symlinkSync("..data/a.yaml", join(dir, "a.yaml"));
    const calls = await seen({ quietMs: 10, rescanMs: 50 });
    symlinkSync("..2", join(dir, "..data_tmp"));
    renameSync(join(dir, "..data_tmp"), join(dir, "..data"));
    await waitFor(() => calls.at(-1) === "2", { timeoutMs: 5_000, what: "the new content" });
  });

  it("sees a folder that comes into being later", async () => {
    const later = join(dir, "later");
    let calls = 0;
    watcher = await watchFolder(later, () => calls++, { quietMs: 10, rescanMs: 50 });
    mkdirSync(later);
    await waitFor(() => calls > 0, { timeoutMs: 5_000, what: "a call" });
  });

  it("waits until a burst is over, but not for ever", async () => {
    const calls = await seen({ quietMs: 60, maxMs: 60_000, rescanMs: 60_000 });
    for (let i = 0; i < 20; i++) {
      put("a.yaml", `${i}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await waitFor(() => calls.at(-1) === "19", { timeoutMs: 5_000, what: "the last content" });
    expect(calls.length).toBeLessThan(5);
  });
});
