/** What the tests of the gossip begin with: workers that have numbers, hashes that nobody else has, and what was learned. */
import { type BoardWorker, begin, type Learned, startBoards } from "./worker-driver.ts";

/** Segments of a worker. */
export const segments = 32;

/** Hashes of a segment with one run. */
export const perSegment = (4096 - 24 - 24) / 8;

/** Three workers at most. */
export async function started(count: number, options = {}) {
  const boards = await startBoards(count, options);
  const workers = boards.workers as [BoardWorker, BoardWorker, BoardWorker];
  for (const worker of workers) {
    worker.traffic(begin);
    worker.tick(begin);
    worker.hostcalls();
  }
  return { ...boards, workers };
}

/** Hashes that nobody else has. */
let salt = 0n;

export function fresh(count: number): bigint[] {
  const from = salt;
  salt += BigInt(count);
  return Array.from({ length: count }, (_, n) => (0xabcdn << 48n) | (from + BigInt(n)));
}

export const hashesOf = (learned: readonly Learned[]) => learned.flatMap(({ hashes }) => hashes);
