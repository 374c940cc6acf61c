/** A queue for each worker, on either driver: what is put into it wakes the root that registered it, and no other. */
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";

export interface QueueProxy {
  /** A request to whichever worker takes it. */
  ask(headers: Readonly<Record<string, string>>): Promise<{ status: number; body: string }>;
  /** What the roots have reported since the start: number, whether the queue is its own, item. */
  facts(): string[];
  stop(): Promise<void>;
}

export const queueWorkers = 3;
export const queueModule = "build/test-wasm/worker-queue.wasm";

export function queueSuite(target: string, start: () => Promise<QueueProxy>): void {
  describe(`queues of ${target}`, () => {
    let proxy: QueueProxy;
    let numbers: string[] = [];
    const expected: string[] = [];
    beforeAll(async () => {
      proxy = await start();
    });
    afterAll(async () => {
      await proxy?.stop();
    });

    /** Numbers of the workers, of one connection after the other. */
    const workers = async (count: number): Promise<string[]> => {
      const seen = new Set<string>();
      for (let tries = 0; tries < 500 && seen.size < count; tries++) {
        const { status, body } = await proxy.ask({});
        if (status === 200) seen.add(body);
      }
      return [...seen];
    };
    const put = async (to: string, item: string): Promise<string> => {
      const { status, body } = await proxy.ask({ "x-to": to, "x-item": item });
      expect(status).toBe(200);
      return body;
    };
    const heard = () => vi.waitFor(() => expect(proxy.facts().sort()).toEqual(expected.sort()), { timeout: 5000 });

    test("an item wakes the root of the worker that registered the name, whoever put it in", async () => {
      numbers = await workers(queueWorkers);
      expect(numbers).toHaveLength(queueWorkers);
      const senders = new Map<string, Set<string>>();
      for (let round = 0; round < 20; round++) {
        for (const number of numbers) {
          const item = `${number}-${round}`;
          expected.push(`${number} own ${item}`);
          senders.set(number, (senders.get(number) ?? new Set()).add(await put(number, item)));
        }
      }
      await heard();
      // From other workers, too.
      for (const found of senders.values()) expect(found.size).toBeGreaterThan(1);
    });

    test("many at once all come, in the order in which they were put in", async () => {
      const [number = ""] = numbers;
      const from = proxy.facts().length;
      await Promise.all(Array.from({ length: 300 }, (_, item) => put(number, `many-${item}`)));
      expected.push(...Array.from({ length: 300 }, (_, item) => `${number} own many-${item}`));
      await heard();
      for (let item = 0; item < 50; item++) await put(number, `row-${item}`);
      const row = Array.from({ length: 50 }, (_, item) => `${number} own row-${item}`);
      expected.push(...row);
      await heard();
      expect(proxy.facts().slice(from + 300)).toEqual(row);
    });

    test("a name that nobody has registered is not found", async () => {
      expect((await proxy.ask({ "x-to": "none", "x-item": "lost" })).status).toBe(404);
    });

    test("the queue of a VM that trapped wakes the root that took its place", async () => {
      expect((await proxy.ask({ "x-trap": "now" })).status).toBe(503);
      const left = await vi.waitFor(
        async () => {
          const found = await workers(queueWorkers);
          expect(found).toHaveLength(queueWorkers);
          return found;
        },
        { timeout: 15_000, interval: 100 },
      );
      const [gone = ""] = numbers.filter((number) => !left.includes(number));
      const [heir = ""] = left.filter((number) => !numbers.includes(number));
      expect([gone, heir]).not.toContain("");
      for (const number of left) {
        await put(number, "again");
        expected.push(`${number} own again`);
      }
      await put(gone, "late");
      expected.push(`${heir} other late`);
      await heard();
    });
  });
}
