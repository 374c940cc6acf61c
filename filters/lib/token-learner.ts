/**
 * Learns from real usage how many tokens a request will take, by model: tokens per byte of the prompt, and how long answers are.
 *
 *   prompt       bytes x tokens per byte; a moving average with a share of 1/16 for each new sample
 *   completion   what the request declares as its limit, or else the 90th percentile of the answers so far
 *
 * 64 models have numbers of their own, in the order in which they are learned; all others share the entry behind them. A name takes an entry only when
 * an answer with usage came back: made-up names of clients do not fill the table. All memory is reserved by the constructor (about 35 KB), nothing is
 * allocated later. A lookup is O(models) comparisons of a hash, learning is O(buckets) besides.
 *
 * Answers are counted in buckets of a quarter octave: from 0, 16, 20, 24, 28, 32, 40, 48, ... 786,432 tokens on. The percentile is the upper end of its
 * bucket, at most 917,503: up to a quarter too high and (below that) never too low. Every 256 samples all counts are halved, so old ones fade.
 */
import { estimateTokens } from "./token-estimate";
import { xxhash64 } from "./xxhash64";

const MODELS: i32 = 64;
/** Longest name with an entry of its own, in bytes. */
const MAX_NAME: i32 = 256;

const LEAST_RATIO: f64 = 0.02;
const MOST_RATIO: f64 = 4;
const SHARE: f64 = 1.0 / 16;
/** A prompt of fewer bytes is mostly the template around it. */
const LEAST_BYTES: u32 = 64;

const BUCKETS: i32 = 64;
const FIRST_OCTAVE: i32 = 4;
/** Completion tokens of a model of which fewer than `ENOUGH` answers are known. */
const UNKNOWN_COMPLETION: i32 = 1024;
const ENOUGH: i32 = 16;
const HALVED_AFTER: i32 = 256;

@final
export class TokenLearner {
  /** What `estimate` found. */
  prompt: i32 = 0;
  completion: i64 = 0;

  private readonly start: f64;
  /** Entries with a name; the one at `MODELS` is everybody else's. */
  private known: i32 = 0;
  private readonly hashes: StaticArray<u64> = new StaticArray<u64>(MODELS);
  private readonly lengths: StaticArray<i32> = new StaticArray<i32>(MODELS);
  private readonly names: StaticArray<u8> = new StaticArray<u8>(MODELS * MAX_NAME);
  private readonly ratios: StaticArray<f64> = new StaticArray<f64>(MODELS + 1);
  /** `BUCKETS` for each entry. */
  private readonly counts: StaticArray<u16> = new StaticArray<u16>((MODELS + 1) * BUCKETS);
  /** Answers counted, at most two halvings' worth. */
  private readonly samples: StaticArray<i32> = new StaticArray<i32>(MODELS + 1);
  private readonly percentiles: StaticArray<i32> = new StaticArray<i32>(MODELS + 1);

  /** `tokensPerByte` is where every model starts. */
  constructor(tokensPerByte: f64) {
    this.start = clamped(tokensPerByte);
    for (let i = 0; i <= MODELS; i++) {
      this.ratios[i] = this.start;
      this.percentiles[i] = UNKNOWN_COMPLETION;
    }
  }

  /**
   * Sets `prompt` and `completion` for a request to the model whose name are the `length` bytes at `name`. `declared` is the largest output limit that the
   * request names, negative for none: providers honour one of the spellings, and nobody knows which.
   */
  estimate(name: usize, length: i32, promptBytes: u32, declared: i64): void {
    const entry = this.find(name, length, hashOf(name, length));
    this.prompt = estimateTokens(promptBytes, entry < 0 ? this.start : unchecked(this.ratios[entry]));
    if (declared >= 0) this.completion = declared;
    else this.completion = entry < 0 ? UNKNOWN_COMPLETION : unchecked(this.percentiles[entry]);
  }

  /** Takes in what an answer reports; negative is unknown. No prompt has 0 tokens, so that is unknown, too. */
  learn(name: usize, length: i32, promptBytes: u32, promptTokens: i64, completionTokens: i64): void {
    const prompts = promptTokens > 0 && promptBytes >= LEAST_BYTES;
    if (!prompts && completionTokens < 0) return;
    const hash = hashOf(name, length);
    let entry = this.find(name, length, hash);
    if (entry < 0) entry = this.insert(name, length, hash);
    if (prompts) {
      const ratio = unchecked(this.ratios[entry]);
      // The sample is clamped, not the average: one absurd number moves it no further than one at the border.
      unchecked((this.ratios[entry] = ratio + (clamped(<f64>promptTokens / <f64>promptBytes) - ratio) * SHARE));
    }
    if (completionTokens >= 0) this.count(entry, completionTokens);
  }

  /** The model's entry, everybody else's when it can have none; -1 when it has none yet. */
  private find(name: usize, length: i32, hash: u64): i32 {
    if (length <= 0 || length > MAX_NAME) return MODELS;
    const names = changetype<usize>(this.names);
    for (let i = 0; i < this.known; i++) {
      if (unchecked(this.hashes[i]) != hash || unchecked(this.lengths[i]) != length) continue;
      if (memory.compare(names + <usize>(i * MAX_NAME), name, length) == 0) return i;
    }
    return this.known < MODELS ? -1 : MODELS;
  }

  private insert(name: usize, length: i32, hash: u64): i32 {
    const entry = this.known++;
    unchecked((this.hashes[entry] = hash));
    unchecked((this.lengths[entry] = length));
    memory.copy(changetype<usize>(this.names) + <usize>(entry * MAX_NAME), name, length);
    return entry;
  }

  private count(entry: i32, tokens: i64): void {
    const first = entry * BUCKETS;
    const bucket = first + bucketOf(tokens);
    unchecked((this.counts[bucket] = this.counts[bucket] + 1));
    const samples = unchecked(this.samples[entry]) + 1;
    unchecked((this.samples[entry] = samples));
    if (samples % HALVED_AFTER == 0) {
      // Still enough of them, and no overflow ever.
      unchecked((this.samples[entry] = HALVED_AFTER));
      for (let i = first; i < first + BUCKETS; i++) unchecked((this.counts[i] = this.counts[i] >> 1));
    }
    if (samples >= ENOUGH) unchecked((this.percentiles[entry] = this.percentile(first)));
  }

  /** Upper end of the bucket in which the 90th of 100 answers lies. */
  private percentile(first: i32): i32 {
    let total = 0;
    for (let i = first; i < first + BUCKETS; i++) total += unchecked(this.counts[i]);
    const wanted = total * 9;
    let below = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      below += unchecked(this.counts[first + bucket]);
      if (below > 0 && below * 10 >= wanted) return upperEnd(bucket);
    }
    return UNKNOWN_COMPLETION;
  }
}

/** Keeps a ratio in its range; what is no number becomes the least. */
function clamped(ratio: f64): f64 {
  if (!(ratio > LEAST_RATIO)) return LEAST_RATIO;
  return ratio < MOST_RATIO ? ratio : MOST_RATIO;
}

function hashOf(name: usize, length: i32): u64 {
  return length > 0 && length <= MAX_NAME ? xxhash64(name, length, 0) : 0;
}

function bucketOf(tokens: i64): i32 {
  if (tokens < 1 << FIRST_OCTAVE) return 0;
  const octave = 63 - <i32>clz<i64>(tokens);
  const quarter = <i32>(tokens >> (octave - 2)) & 3;
  return min(1 + (octave - FIRST_OCTAVE) * 4 + quarter, BUCKETS - 1);
}

/** The largest number of tokens in the bucket. */
function upperEnd(bucket: i32): i32 {
  if (bucket == 0) return (1 << FIRST_OCTAVE) - 1;
  const octave = FIRST_OCTAVE + ((bucket - 1) >> 2);
  return ((5 + ((bucket - 1) & 3)) << (octave - 2)) - 1;
}
