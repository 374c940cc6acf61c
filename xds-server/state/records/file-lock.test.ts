import { linkSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FileLock } from "./file-lock.ts";

describe("the lock of a folder", () => {
  let folder: string;
  const locks: FileLock[] = [];
  const take = async () => {
    const lock = await FileLock.take(folder);
    locks.push(lock);
    return lock;
  };
  /** As a process leaves it that was killed. */
  const leaveDead = async (name: string) => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(folder, "s"), resolve));
    linkSync(join(folder, "s"), join(folder, name));
    await new Promise((resolve) => server.close(resolve));
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "tokenmesh-lock-"));
  });
  afterEach(async () => {
    for (const lock of locks.splice(0)) await lock.release().catch(() => {});
    rmSync(folder, { recursive: true });
  });

  it("is one process's at a time, and leaves one name behind", async () => {
    for (let n = 1; n <= 3; n++) {
      const lock = await take();
      expect(lock.held).toBe(true);
      await expect(take()).rejects.toMatchObject({ code: "TM_STATE_LOCKED" });
      await lock.release();
      expect(readdirSync(folder)).toEqual([`tokenmesh.lock.${n}`]);
    }
  });

  it.each([[[]], [[4]], [[2, 9, 3]]])("goes to one of many that come at once, over what %j left", async (dead) => {
    for (const number of dead) await leaveDead(`tokenmesh.lock.${number}`);
    const results = await Promise.allSettled(Array.from({ length: 20 }, take));
    expect(results.filter(({ status }) => status === "fulfilled").length).toBe(1);
    expect(readdirSync(folder)).toEqual([`tokenmesh.lock.${Math.max(0, ...dead) + 1}`]);
  });

  it("knows when its name is gone, and does not mind other files", async () => {
    writeFileSync(join(folder, "tokenmesh.lock.x"), "");
    writeFileSync(join(folder, "tokenmesh.lock.01"), "");
    const lock = await take();
    expect(lock.held).toBe(true);
    rmSync(join(folder, "tokenmesh.lock.1"));
    expect(lock.held).toBe(false);
    expect((await take()).held).toBe(true);
    expect(lock.held).toBe(false);
  });
});
