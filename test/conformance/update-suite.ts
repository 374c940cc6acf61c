/** A configuration update while the proxy runs, on either driver: new roots in the same VMs, the old ones told to finish. */
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";

export interface UpdatableProxy {
  /** Facts about root contexts since the start. */
  rootFacts(): string[];
  /** Sends a configuration; true when the proxy took it. */
  update(config: string): Promise<boolean>;
  /** Status of a request now. */
  request(): Promise<number>;
  stop(): Promise<void>;
}

export const firstConfig = "one";
const workers = 1;

export function updateSuite(target: string, start: () => Promise<UpdatableProxy>): void {
  describe(`configuration updates of ${target}`, () => {
    let proxy: UpdatableProxy;
    const count = (fact: string): number => proxy.rootFacts().filter((one) => one.startsWith(fact)).length;
    const counts = (config: string) => ({
      configured: count(`configure ${config} `),
      done: count(`done ${config}`),
      deleted: count(`delete ${config}`),
    });
    beforeAll(async () => {
      proxy = await start();
    });
    afterAll(async () => {
      await proxy?.stop();
    });

    test("an update costs one more VM, the canary's, and finishes the old root of every thread", async () => {
      const vms = workers + 3;
      await vi.waitFor(
        () =>
          expect([count("initialize"), counts("one")]).toEqual([vms, { configured: workers + 2, done: 0, deleted: 0 }]),
        3000,
      );
      expect(await proxy.update("two")).toBe(true);
      await vi.waitFor(() => {
        expect(counts("two")).toEqual({ configured: workers + 2, done: 0, deleted: 0 });
        expect(counts("one")).toEqual({ configured: workers + 2, done: workers + 1, deleted: workers + 1 });
      }, 15_000);
      expect(count("initialize")).toBe(vms + 1);
      expect(await proxy.request()).toBe(200);
    });

    test("on_vm_start is called for every root, not once per VM", () => {
      expect(count("vm_start")).toBe(2 * (workers + 2));
    });

    test("a refused update is tried in a canary only and leaves everything running", async () => {
      expect(await proxy.update("refuse")).toBe(false);
      // The verdict may overtake the log.
      await vi.waitFor(() => expect(counts("refuse").configured).toBe(1), 3000);
      expect(counts("two")).toEqual({ configured: workers + 2, done: 0, deleted: 0 });
      expect(await proxy.request()).toBe(200);
    });
  });
}
