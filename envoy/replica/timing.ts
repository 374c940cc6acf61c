/**
 * Speed and size of a simulated inference engine: plain numbers, so that a bench can scale or replace any of them.
 *
 * One engine iteration takes `iterationMs + prefillMsPerToken * prefill tokens + decodeMsPerSequence * decoding sequences`: the linear
 * model of continuous batching with chunked prefill, where every iteration gives each decoding sequence one token.
 */
export interface ReplicaTiming {
  /** Fixed cost of one iteration, ms. */
  readonly iterationMs: number;
  /** Cost of each prompt token that is not cached, ms. */
  readonly prefillMsPerToken: number;
  /** Cost of each sequence that decodes in an iteration, ms: the reason why a larger batch slows every stream down. */
  readonly decodeMsPerSequence: number;
  /** Sequences that may run at once; the others wait in arrival order. */
  readonly maxSequences: number;
  /** Prompt and decode tokens that one iteration may process (chunked prefill). */
  readonly maxIterationTokens: number;
  /** Tokens of one KV-cache block. */
  readonly blockTokens: number;
  /** KV-cache blocks of the replica: room for running sequences and for cached prefixes. */
  readonly kvBlocks: number;
  /** Longest prompt plus answer, tokens; a longer request is refused. */
  readonly maxModelTokens: number;
}

export type TimingProfile = "instant" | "h100" | "desktop";

/** `h100` follows published calibrations of a 30-70 B model on H100 nodes; `desktop` is about ten times slower; `instant` is for tests. */
export const TIMING_PROFILES: Readonly<Record<TimingProfile, ReplicaTiming>> = {
  instant: {
    iterationMs: 0,
    prefillMsPerToken: 0,
    decodeMsPerSequence: 0,
    maxSequences: 1024,
    maxIterationTokens: 1 << 26,
    blockTokens: 16,
    kvBlocks: 1 << 16,
    maxModelTokens: 1 << 26,
  },
  h100: {
    iterationMs: 8,
    prefillMsPerToken: 0.0488,
    decodeMsPerSequence: 0.11,
    maxSequences: 256,
    maxIterationTokens: 8192,
    blockTokens: 16,
    kvBlocks: 31_250,
    maxModelTokens: 131_072,
  },
  desktop: {
    iterationMs: 30,
    prefillMsPerToken: 0.5,
    decodeMsPerSequence: 2,
    maxSequences: 16,
    maxIterationTokens: 2048,
    blockTokens: 16,
    kvBlocks: 4096,
    maxModelTokens: 32_768,
  },
};

/** The same engine, `factor` times faster (2 halves every duration); sizes stay. */
export function speedUp(timing: ReplicaTiming, factor: number): ReplicaTiming {
  return {
    ...timing,
    iterationMs: timing.iterationMs / factor,
    prefillMsPerToken: timing.prefillMsPerToken / factor,
    decodeMsPerSequence: timing.decodeMsPerSequence / factor,
  };
}
