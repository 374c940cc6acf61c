/**
 * Feeds a body in every interesting division: all splits into two, pieces of 1, 2 and 7 bytes, and seeded random pieces.
 * Use it to show that an outcome does not depend on where the network cuts.
 */
import { bodyOf } from "./abi.ts";
import { seededRandom } from "./clock.ts";

export interface Split {
  /** For the failure message, for example "cut at 17" or "pieces of 7". */
  name: string;
  chunks: Uint8Array[];
}

function pieces(bytes: Uint8Array, size: () => number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Math.max(1, size());
    chunks.push(bytes.subarray(at, at + length));
    at += length;
  }
  return chunks;
}

export function* splits(body: Uint8Array | string, { random = 20, seed = 1, everyCut = true } = {}): Generator<Split> {
  const bytes = bodyOf(body);
  yield { name: "whole", chunks: [bytes] };
  for (const size of [1, 2, 7]) yield { name: `pieces of ${size}`, chunks: pieces(bytes, () => size) };
  if (everyCut) {
    for (let cut = 1; cut < bytes.length; cut++)
      yield { name: `cut at ${cut}`, chunks: [bytes.subarray(0, cut), bytes.subarray(cut)] };
  }
  const next = seededRandom(seed);
  for (let round = 0; round < random; round++) {
    yield {
      name: `random ${round} of seed ${seed}`,
      chunks: pieces(bytes, () => Math.ceil(next() * Math.max(1, bytes.length / 3))),
    };
  }
}

/** Calls `outcome` for every split and throws when one differs from that of the whole body. */
export function expectSameForEverySplit(
  body: Uint8Array | string,
  outcome: (chunks: Uint8Array[]) => unknown,
  options?: Parameters<typeof splits>[1],
): number {
  let expected: string | undefined;
  let count = 0;
  for (const { name, chunks } of splits(body, options)) {
    const seen = JSON.stringify(outcome(chunks));
    expected ??= seen;
    if (seen !== expected)
      throw new Error(
        `split "${name}" (seed ${options?.seed ?? 1}) gives\n  ${seen}\nthe whole body gives\n  ${expected}`,
      );
    count++;
  }
  return count;
}
