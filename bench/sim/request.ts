/** One request of the simulation. */
export interface Request {
  readonly id: number;
  readonly arrivedAt: number;
  /** Prompt and answer, tokens. */
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Chained hashes of the complete blocks of prompt and answer; the first `promptBlocks` are what a router can see. */
  readonly blocks: readonly number[];
  readonly promptBlocks: number;
  /** Identity of the conversation or user, as a session header would carry it. */
  readonly session: number;
  /** Identity of the first user message. */
  readonly firstMessage: number;
  /** Worker of the proxy that handles it. */
  readonly worker: number;
}

/** A piece of text: whose it is, and the token of the sequence where it ends. */
export interface Segment {
  readonly owner: number;
  readonly end: number;
}

export const BLOCK_TOKENS = 64;

/**
 * Hashes of the complete blocks of a text. Texts are never written out: a block is known by the owner of its last token and its place, which is enough as long
 * as everything before an owner's text is always the same.
 */
export function chainOf(segments: readonly Segment[], hash: (owner: number, block: number) => number): number[] {
  const chain: number[] = [];
  for (const { owner, end } of segments) {
    while ((chain.length + 1) * BLOCK_TOKENS <= end) chain.push(hash(owner, chain.length));
  }
  return chain;
}
