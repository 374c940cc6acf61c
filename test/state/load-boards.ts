/** What the tests of the load board begin with: workers that have boards, loads, and what comes of them. */
import { type BoardWorker, type Load, startBoards, type Told } from "./worker-driver.ts";

export const endpointOf = (n: number) => 0x1000_0000_0000_0000n + BigInt(n);

/** Three workers at most. */
export async function started(count: number, options = {}) {
  const boards = await startBoards(count, options);
  return { ...boards, workers: boards.workers as [BoardWorker, BoardWorker, BoardWorker] };
}

/** What one endpoint has. */
export const one = (inflight: number, pending = 0, endpoint = 1, pool = 0): Load => ({
  pool,
  endpoint: endpointOf(endpoint),
  inflight,
  pending,
});

/** Sums by pool and endpoint, sorted. */
export function sums(loads: readonly Load[]): Load[] {
  const all = new Map<string, Load>();
  for (const { pool, endpoint, inflight, pending } of loads) {
    if (inflight === 0 && pending === 0) continue;
    const key = `${pool} ${endpoint}`;
    const sum = all.get(key) ?? { pool, endpoint, inflight: 0, pending: 0 };
    all.set(key, { ...sum, inflight: sum.inflight + inflight, pending: sum.pending + pending });
  }
  return [...all].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, load]) => load);
}

/** One tick after the other for all: says, and then reads what the others have said. */
export function round(workers: readonly BoardWorker[], now: number): Told[] {
  for (const worker of workers) worker.moment(now);
  return workers.map((worker) => worker.moment(now));
}
