/** Exact models of the three methods, straight from their definitions: no masks, no search, no incremental change. */
import type { Member } from "./endpoint-hash-driver.ts";
import { type HashFunction, hashBytes } from "./hash-functions-driver.ts";

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);

function distinct(slots: Iterable<number>): number[] {
  return [...new Set(slots)];
}

/** Slots in the order in which the key meets their points, weight x points each. */
export function ringOrder(
  members: readonly Member[],
  key: bigint,
  options: { fn: HashFunction; bits: 32 | 64; separator: string; points: number },
): number[] {
  const { fn, bits, separator, points } = options;
  const position = (hash: bigint): bigint => hash >> BigInt(64 - bits);
  const ring = members.flatMap(({ slot, name, weight = 1 }) =>
    Array.from({ length: points * weight }, (_, i) => ({
      slot,
      at: position(hashBytes(fn, `${name}${separator}${i}`)),
    })),
  );
  ring.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : a.slot - b.slot));
  const first = ring.findIndex(({ at }) => at >= position(key));
  const from = Math.max(first, 0);
  return distinct([...ring.slice(from), ...ring.slice(0, from)].map(({ slot }) => slot));
}

/** The table of listing 1 of the paper; a member of weight w takes part in every (greatest / w)-th turn. */
export function maglevTable(members: readonly Member[], fn: HashFunction, size: number): number[] {
  const sorted = [...members].sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  const total = sorted.reduce((sum, { weight = 1 }) => sum + weight, 0);
  const shares = sorted.map(({ weight = 1 }) => weight / total);
  const rows = sorted.map(({ name }) => {
    const offset = hashBytes(fn, name, 0) % BigInt(size);
    const skip = (hashBytes(fn, name, 1) % BigInt(size - 1)) + 1n;
    return Array.from({ length: size }, (_, j) => Number((offset + BigInt(j) * skip) % BigInt(size)));
  });
  const table = new Array<number>(size).fill(-1);
  const due = shares.map(() => 0);
  const greatest = Math.max(...shares);
  let filled = 0;
  for (let turn = 1; filled < size; turn++) {
    for (const [i, member] of sorted.entries()) {
      if (filled === size || turn * (shares[i] ?? 0) < (due[i] ?? 0)) continue;
      due[i] = (due[i] ?? 0) + greatest;
      const free = rows[i]?.find((entry) => table[entry] === -1) ?? 0;
      table[free] = member.slot;
      filled++;
    }
  }
  return table;
}

/** From the entry of the key in steps that its upper half says. */
export function maglevOrder(table: readonly number[], key: bigint): number[] {
  const size = BigInt(table.length);
  const step = ((key >> 32n) % (size - 1n)) + 1n;
  return distinct(table.map((_, i) => table[Number((key + BigInt(i) * step) % size)] ?? -1));
}

/** MurmurHash3's finalizer. */
function mixed(value: bigint): bigint {
  for (const factor of [0xff51afd7ed558ccdn, 0xc4ceb9fe1a85ec53n]) value = u64((value ^ (value >> 33n)) * factor);
  return value ^ (value >> 33n);
}

/** Slots by -ln(u) / weight, where u is the mixed hash as a number between 0 and 1. */
export function rendezvousOrder(members: readonly Member[], key: bigint, fn: HashFunction): number[] {
  const costs = members.map(({ slot, name, weight = 1 }) => {
    const u = (Number(mixed(key ^ hashBytes(fn, name)) >> 12n) + 0.5) / 2 ** 52;
    return { slot, cost: -Math.log(u) / weight };
  });
  return costs.sort((a, b) => a.cost - b.cost).map(({ slot }) => slot);
}
