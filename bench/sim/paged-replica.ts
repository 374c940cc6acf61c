/**
 * One inference engine with paged KV memory, in virtual time: continuous batching, chunked prefill, first-come-first-served admission, blocks shared by
 * prompts with the same beginning, preemption.
 *
 * Same family and same calling order as `ReplicaModel` of envoy/replica, and the same costs of an iteration. What differs, because a policy is judged by it:
 *   - Running sequences share the blocks of a common prefix. `ReplicaModel` reserves room for each whole prompt and answer, so a fleet whose users share
 *     long prompts would hold a third of the sequences that it can.
 *   - Blocks of answers stay cached: the next turn of a conversation finds them.
 *   - Blocks in use cannot be evicted; blocks leave in the order in which they were freed, the tail of a sequence first.
 *   - An answer takes its blocks as it grows. When none is left, the sequence admitted last is preempted and computed again later, as in vLLM.
 */
import type { Iteration, SequenceSpec, TokenEvent } from "../../envoy/replica/model.ts";
import type { ReplicaTiming } from "../../envoy/replica/timing.ts";
import { BlockPool } from "./block-pool.ts";

/** What the simulator needs of an engine. */
export interface Engine {
  readonly waiting: number;
  readonly running: number;
  /** Share of the KV blocks held by running sequences, 0..1. */
  readonly kvUsage: number;
  /** `blocks` covers the prompt and the answer, complete blocks only. */
  submit(spec: SequenceSpec): void;
  begin(): Iteration | undefined;
  /** At least the first and the last token of each sequence. */
  complete(): readonly TokenEvent[];
}

interface Sequence extends SequenceSpec {
  /** Blocks of memory, in order of the text; empty when it is not running. */
  owned: number[];
  /** Prompt tokens in memory, counting the work of the open iteration; after a preemption tokens of the answer so far as well. */
  computed: number;
  /** What `computed` must reach before the next token can be generated. */
  prefillTarget: number;
  /** Tokens generated when the prefill was complete, and the number of that iteration; 0 until then. From then on each iteration adds one. */
  generated: number;
  decodesSince: number;
  /** Cached prompt tokens at the first admission; undefined before it. */
  cachedTokens: number | undefined;
}

export class PagedReplica implements Engine {
  readonly pool: BlockPool;
  preemptions = 0;
  private readonly queue: Sequence[] = [];
  /** In order of admission. */
  private active: Sequence[] = [];
  private decoding = 0;
  /** Those whose prefill ends in the open iteration. */
  private prefilled: Sequence[] = [];
  /** Number of the open or last iteration. */
  private iteration = 0;
  private open = false;
  /**
   * Every decoding sequence gains a token in every iteration, so when it needs its next block and when it is complete is known ahead: no loop over tokens.
   * Entries of preempted sequences stay and are recognised by `decodesSince`.
   */
  private readonly growing = new Map<number, Sequence[]>();
  private readonly finishing = new Map<number, Sequence[]>();

  /** Error when the decodes of one iteration could exceed its tokens. */
  constructor(readonly timing: ReplicaTiming) {
    if (timing.maxSequences > timing.maxIterationTokens)
      throw new Error("an iteration must have a token for every sequence");
    this.pool = new BlockPool(timing.kvBlocks);
  }

  get waiting(): number {
    return this.queue.length;
  }

  get running(): number {
    return this.active.length;
  }

  get kvUsage(): number {
    return this.pool.used / this.pool.capacity;
  }

  /** Leading blocks of a prompt that would not be computed now: all that are cached, but never its last token. */
  matchedBlocks(chain: readonly number[], tokens: number): number {
    return this.pool.match(chain, Math.floor((tokens - 1) / this.timing.blockTokens));
  }

  /** Error when prompt and answer could never fit. */
  submit(spec: SequenceSpec): void {
    if (Math.ceil((spec.promptTokens + spec.outputTokens) / this.timing.blockTokens) > this.pool.capacity)
      throw new Error(`a request of ${spec.promptTokens} + ${spec.outputTokens} tokens is larger than the KV memory`);
    this.queue.push({
      ...spec,
      owned: [],
      computed: 0,
      prefillTarget: spec.promptTokens,
      generated: 0,
      decodesSince: 0,
      cachedTokens: undefined,
    });
  }

  begin(): Iteration | undefined {
    if (this.open) throw new Error("begin() while an iteration is open: call complete() first");
    if (this.active.length === 0 && this.queue.length === 0) return undefined;
    this.open = true;
    this.iteration++;
    const preempted = this.preemptions;
    // Decodes come first: a long prompt may slow running answers down, but must not stop them.
    for (const sequence of due(this.growing, this.iteration)) {
      if (this.nextBlockAt(sequence) === this.iteration) this.grow(sequence);
    }
    const decodeSequences = this.decoding;
    const { iterationMs, prefillMsPerToken, decodeMsPerSequence, maxIterationTokens } = this.timing;
    let budget = maxIterationTokens - decodeSequences;
    const prefill = (sequence: Sequence): void => {
      const chunk = Math.min(sequence.prefillTarget - sequence.computed, budget);
      budget -= chunk;
      this.compute(sequence, chunk);
    };
    if (this.decoding < this.active.length) {
      for (const sequence of this.active) if (sequence.decodesSince === 0 && budget > 0) prefill(sequence);
    }
    // Who has just been preempted would take the memory back at once.
    while (budget > 0 && this.preemptions === preempted) {
      const sequence = this.admit();
      if (sequence === undefined) break;
      prefill(sequence);
    }
    const prefillTokens = maxIterationTokens - decodeSequences - budget;
    const durationMs = iterationMs + prefillMsPerToken * prefillTokens + decodeMsPerSequence * decodeSequences;
    return { durationMs, prefillTokens, decodeSequences };
  }

  complete(): readonly TokenEvent[] {
    this.open = false;
    const events: TokenEvent[] = [];
    for (const sequence of due(this.finishing, this.iteration)) {
      if (this.lastTokenAt(sequence) === this.iteration) this.finish(sequence, events);
    }
    for (const sequence of this.prefilled) {
      sequence.generated++;
      sequence.decodesSince = this.iteration;
      this.decoding++;
      if (sequence.generated === sequence.outputTokens) this.finish(sequence, events);
      else {
        if (sequence.generated === 1) events.push(event(sequence, 0, false));
        add(this.growing, this.nextBlockAt(sequence), sequence);
        add(this.finishing, this.lastTokenAt(sequence), sequence);
      }
    }
    this.prefilled = [];
    if (events.some(({ last }) => last)) this.active = this.active.filter(({ owned }) => owned.length > 0);
    return events;
  }

  /** The head of the queue, with memory for all of its prompt; undefined when it must wait. */
  private admit(): Sequence | undefined {
    const next = this.queue[0];
    if (next === undefined || this.active.length >= this.timing.maxSequences) return undefined;
    const blocks = Math.ceil(next.prefillTarget / this.timing.blockTokens);
    const matched = this.matchedBlocks(next.blocks, next.prefillTarget);
    const needed = blocks - matched;
    if (needed > this.pool.available - this.pool.unusedOf(next.blocks, matched)) return undefined;
    this.queue.shift();
    for (let i = 0; i < matched; i++) next.owned.push(this.pool.share(next.blocks[i] as number));
    for (let i = 0; i < needed; i++) next.owned.push(this.pool.take() as number);
    next.computed = matched * this.timing.blockTokens;
    next.cachedTokens ??= next.computed;
    this.active.push(next);
    return next;
  }

  /** Iteration in which a decoding sequence must have one more block: its memory is full with what was computed before. */
  private nextBlockAt({ owned, decodesSince, prefillTarget }: Sequence): number {
    return decodesSince === 0 ? -1 : decodesSince + 1 + owned.length * this.timing.blockTokens - prefillTarget;
  }

  private lastTokenAt({ decodesSince, outputTokens, generated }: Sequence): number {
    return decodesSince === 0 ? -1 : decodesSince + outputTokens - generated;
  }

  private grow(sequence: Sequence): void {
    this.fill(sequence, sequence.owned.length - 1, sequence.owned.length);
    let block = this.pool.take();
    while (block === undefined) {
      const victim = this.active.at(-1) as Sequence;
      this.preempt(victim);
      if (victim === sequence) return;
      block = this.pool.take();
    }
    sequence.owned.push(block);
    add(this.growing, this.nextBlockAt(sequence), sequence);
  }

  /** `victim` is the last of `active`. */
  private preempt(victim: Sequence): void {
    this.preemptions++;
    this.active.pop();
    this.pool.release(victim.owned);
    victim.owned = [];
    if (victim.decodesSince > 0) {
      victim.generated += this.iteration - 1 - victim.decodesSince;
      this.decoding--;
    }
    victim.decodesSince = 0;
    victim.prefillTarget = victim.promptTokens + victim.generated;
    victim.computed = 0;
    this.queue.unshift(victim);
  }

  private finish(sequence: Sequence, events: TokenEvent[]): void {
    const { blockTokens } = this.timing;
    const full = Math.floor((sequence.promptTokens + sequence.outputTokens - 1) / blockTokens);
    this.fill(sequence, Math.floor(sequence.promptTokens / blockTokens), full);
    this.pool.release(sequence.owned);
    sequence.owned = [];
    sequence.decodesSince = 0;
    this.decoding--;
    events.push(event(sequence, sequence.outputTokens - 1, true));
  }

  private compute(sequence: Sequence, tokens: number): void {
    const { blockTokens } = this.timing;
    const first = Math.floor(sequence.computed / blockTokens);
    sequence.computed += tokens;
    this.fill(sequence, first, Math.floor(sequence.computed / blockTokens));
    if (sequence.computed === sequence.prefillTarget) this.prefilled.push(sequence);
  }

  /** From now on other prompts can share these blocks. */
  private fill({ owned, blocks }: Sequence, from: number, end: number): void {
    for (let i = from; i < end && i < blocks.length; i++) this.pool.fill(owned[i] as number, blocks[i] as number);
  }
}

const event = ({ id, cachedTokens }: Sequence, index: number, last: boolean): TokenEvent => ({
  id,
  index,
  last,
  cachedTokens: cachedTokens ?? 0,
});

function add(buckets: Map<number, Sequence[]>, iteration: number, sequence: Sequence): void {
  const bucket = buckets.get(iteration);
  if (bucket === undefined) buckets.set(iteration, [sequence]);
  else bucket.push(sequence);
}

function due(buckets: Map<number, Sequence[]>, iteration: number): readonly Sequence[] {
  const bucket = buckets.get(iteration);
  buckets.delete(iteration);
  return bucket ?? [];
}
