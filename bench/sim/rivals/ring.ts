/**
 * Consistent hashing: Envoy's ring_hash and maglev by session, the ring with `hash_balance_factor`, and CHWBL as KubeAI and others walk it.
 *
 * Sources: Envoy docs load_balancers.rst and source/extensions/load_balancing_policies/common/thread_aware_lb_impl.cc; KubeAI
 * internal/loadbalancer/balance_chwbl.go and docs; Mirrokni, Thorup, Zadimoghaddam, arXiv 1608.01350; Eisenbud et al., Maglev, NSDI 2016.
 * Differences: another hash function (53 bits), which moves keys but not the distribution; in-flight counts are exact; Envoy's balance factor counts with weights,
 * which are equal here.
 */
import type { Fleet } from "../fleet.ts";
import type { PolicyFactory } from "../policy.ts";
import { hash53 } from "../random.ts";
import type { Request } from "../request.ts";

type Key = (request: Request) => number;

export const bySession: Key = ({ session }) => hash53(session, 1);
/** KubeAI hashes the first 100 characters of the first user message: two conversations rarely share these. The system prompt is not in it. */
export const byFirstMessage: Key = ({ firstMessage }) => hash53(firstMessage, 2);
/** The first 256 tokens: four blocks. */
export const byPrefix: Key = ({ blocks, promptBlocks, session }) => {
  const at = Math.min(promptBlocks, 4) - 1;
  return hash53(at < 0 ? session : (blocks[at] ?? 0), 3);
};

/** Points on a circle; rebuilt when an endpoint joins or leaves. */
class Ring {
  private hashes: number[] = [];
  private slots: number[] = [];

  constructor(
    private readonly fleet: Fleet,
    private readonly pointsOf: (endpoints: number) => number,
  ) {
    this.build();
  }

  build(): void {
    const { live } = this.fleet;
    const points = live.flatMap((slot) =>
      Array.from({ length: this.pointsOf(live.length) }, (_, index) => [hash53(slot + 1_000, index), slot] as const),
    );
    points.sort(([a], [b]) => a - b);
    this.hashes = points.map(([hash]) => hash);
    this.slots = points.map(([, slot]) => slot);
  }

  /** The successor of the key, then every other endpoint clockwise, until `accept` says yes; undefined when it never does. */
  walk(key: number, accept: (slot: number) => boolean): number | undefined {
    let [low, high] = [0, this.hashes.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.hashes[middle] ?? 0) < key) low = middle + 1;
      else high = middle;
    }
    const seen = new Set<number>();
    for (let step = 0; step < this.slots.length && seen.size < this.fleet.live.length; step++) {
      const slot = this.slots[(low + step) % this.slots.length] ?? 0;
      if (seen.has(slot)) continue;
      if (accept(slot)) return slot;
      seen.add(slot);
    }
    return undefined;
  }

  first(key: number): number {
    return this.walk(key, () => true) ?? 0;
  }
}

/** Envoy's minimum ring of 1,024 points, shared out. */
const envoyPoints = (endpoints: number): number => Math.ceil(1_024 / endpoints);

export const ringHash =
  (key: Key): PolicyFactory =>
  ({ fleet }) => {
    const ring = new Ring(fleet, envoyPoints);
    return { pick: (request) => ring.first(key(request)), joined: () => ring.build(), left: () => ring.build() };
  };

/** An endpoint over its share times the factor is full; then the others in an order drawn from the key, then the least loaded. */
export const ringBounded =
  (key: Key, factor: number): PolicyFactory =>
  ({ fleet }) => {
    const ring = new Ring(fleet, envoyPoints);
    return {
      pick: (request) => {
        const hash = key(request);
        const room = Math.ceil(((fleet.totalInflight + 1) * factor) / fleet.live.length);
        const load = (slot: number): number => fleet.inflight[slot] ?? 0;
        const owner = ring.first(hash);
        if (load(owner) <= room) return owner;
        const order = fleet.live.toSorted((a, b) => hash53(hash, a) - hash53(hash, b));
        return order.find((slot) => load(slot) <= room) ?? order.sort((a, b) => load(a) - load(b))[0] ?? owner;
      },
      joined: () => ring.build(),
      left: () => ring.build(),
    };
  };

/** 256 points per endpoint; clockwise to the first with at most 1.25 times the mean in flight, this request included; if there is none, the first. */
export const boundedRing =
  (key: Key): PolicyFactory =>
  ({ fleet }) => {
    const ring = new Ring(fleet, () => 256);
    return {
      pick: (request) => {
        const hash = key(request);
        const bound = (1.25 * (fleet.totalInflight + 1)) / fleet.live.length;
        return ring.walk(hash, (slot) => (fleet.inflight[slot] ?? 0) <= bound) ?? ring.first(hash);
      },
      joined: () => ring.build(),
      left: () => ring.build(),
    };
  };

const TABLE = 65_537;

/** Every endpoint in turn takes the next free entry of its own permutation of the table. */
export function maglevTable(slots: readonly number[], size = TABLE): Int32Array {
  const table = new Int32Array(size).fill(-1);
  const walks = slots.map((slot) => ({
    slot,
    at: hash53(slot + 1_000, 7) % size,
    skip: (hash53(slot + 1_000, 8) % (size - 1)) + 1,
  }));
  for (let filled = 0; filled < size; ) {
    for (const walk of walks) {
      while (table[walk.at] !== -1) walk.at = (walk.at + walk.skip) % size;
      table[walk.at] = walk.slot;
      if (++filled === size) break;
    }
  }
  return table;
}

export const maglev =
  (key: Key): PolicyFactory =>
  ({ fleet }) => {
    let table = maglevTable(fleet.live);
    const rebuild = (): void => {
      table = maglevTable(fleet.live);
    };
    return { pick: (request) => table[key(request) % TABLE] ?? 0, joined: rebuild, left: rebuild };
  };
