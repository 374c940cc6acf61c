/** What share of requests a slab serves, against a list of the same bytes that always drops what was used least recently (LRU), which no set and no cap hinders. */
import { seededRandom } from "../host/clock.ts";
import { answer, begin, day, startAnswers } from "./answer-driver.ts";
import { hashOf } from "./eviction.ts";

export interface HitWorkload {
  maxBytes: number;
  maxEntryBytes: number;
  /** Sizes of answers are log-normal: mean in bytes, and sigma of the logarithm. */
  mean: number;
  sigma: number;
  /** Key n comes up in proportion to 1 / (n + 1) ** s. */
  keys: number;
  s: number;
  /** The second half is counted. */
  requests: number;
}

class Lru {
  readonly #last = new Map<number, number>();
  readonly #queue: [key: number, turn: number][] = [];
  #first = 0;
  #bytes = 0;

  constructor(readonly most: number) {}

  /** True when the key was there. */
  use(key: number, bytesOf: (key: number) => number): boolean {
    const hit = this.#last.has(key);
    if (!hit) this.#bytes += bytesOf(key);
    this.#last.set(key, this.#queue.push([key, this.#queue.length]) - 1);
    while (this.#bytes > this.most) {
      const [oldest, turn] = this.#queue[this.#first++] as [number, number];
      if (this.#last.get(oldest) !== turn) continue;
      this.#last.delete(oldest);
      this.#bytes -= bytesOf(oldest);
    }
    return hit;
  }
}

export async function hitRates({ maxBytes, maxEntryBytes, mean, sigma, keys, s, requests }: HitWorkload) {
  const { host, workers } = await startAnswers({ maxBytes, maxEntryBytes, workers: 1, poisonScratch: false });
  const [worker] = workers;
  const random = seededRandom(7);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const sizes = Array.from({ length: keys }, () => {
    const bytes = Math.exp(Math.log(mean) - sigma ** 2 / 2 + sigma * normal());
    return Math.round(Math.min(Math.max(bytes, 200), maxEntryBytes - 200));
  });
  const sums: number[] = [];
  for (let key = 0; key < keys; key++) sums.push((sums.at(-1) ?? 0) + (key + 1) ** -s);
  const draw = () => {
    const at = random() * (sums.at(-1) ?? 0);
    let [low, high] = [0, keys - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) < at) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const ideal = new Lru(maxBytes);
  let [slab, lru] = [0, 0];
  for (let request = 0; request < requests; request++) {
    const key = draw();
    const counts = request * 2 >= requests;
    const found = worker.find(hashOf(key), begin);
    if (!found) worker.put(hashOf(key), answer({ body: Buffer.alloc(sizes[key] as number) }), begin + day, begin);
    if (ideal.use(key, (which) => (sizes[which] as number) + 80) && counts) lru++;
    if (found && counts) slab++;
    if (request % 100 === 0) worker.hostcalls();
  }
  const { sharedData } = host;
  const held = (sharedData.bytes() + sharedData.keys().length * 160) / maxBytes;
  return { slab: (slab * 2) / requests, lru: (lru * 2) / requests, held, counters: worker.counters() };
}
