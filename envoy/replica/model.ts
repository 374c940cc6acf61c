/**
 * Pure model of one inference engine: continuous batching, chunked prefill, first-in-first-out admission, prefix cache.
 *
 * No clock, no timers, no randomness, no HTTP. A driver calls `begin()`, lets `durationMs` pass (wall clock in a replica, virtual time in a
 * simulation), then calls `complete()` and hands the tokens on. `submit` and `cancel` are allowed at any moment.
 *
 *   submit -> waiting --admit--> running: prefill (chunks) -> first token -> one token per iteration -> last token -> gone
 */
import { PrefixCache } from "./prefix-cache.ts";
import type { ReplicaTiming } from "./timing.ts";

export interface SequenceSpec {
  /** Chosen by the caller; unique among waiting and running sequences. */
  readonly id: number;
  /** Prompt length, tokens, at least 1. */
  readonly promptTokens: number;
  /** Answer length, tokens, at least 1. */
  readonly outputTokens: number;
  /** Chained block hashes of the prompt (see `blockChain`), complete blocks only. */
  readonly blocks: readonly number[];
}

/** One generated token. `index` counts from 0; `cachedTokens` is the part of the prompt that was not computed again. */
export interface TokenEvent {
  readonly id: number;
  readonly index: number;
  readonly last: boolean;
  readonly cachedTokens: number;
}

export interface Iteration {
  readonly durationMs: number;
  /** Prompt tokens computed and sequences decoded in this iteration. */
  readonly prefillTokens: number;
  readonly decodeSequences: number;
}

interface Sequence extends SequenceSpec {
  readonly kvBlocks: number;
  cachedTokens: number;
  prefillLeft: number;
  generated: number;
}

interface PlannedWork {
  readonly sequence: Sequence;
  /** Prompt tokens of this chunk; 0 for a decode step. */
  readonly chunk: number;
}

/** Totals since the start, for metrics: prompt tokens looked up in and served from the prefix cache. */
interface PrefixTotals {
  readonly queriedTokens: number;
  readonly hitTokens: number;
}

export class ReplicaModel {
  private readonly queue: Sequence[] = [];
  private readonly active = new Map<number, Sequence>();
  private readonly cache = new PrefixCache();
  private work: PlannedWork[] | undefined;
  private reservedBlocks = 0;
  private queriedTokens = 0;
  private hitTokens = 0;

  constructor(readonly timing: ReplicaTiming) {}

  get waiting(): number {
    return this.queue.length;
  }

  get running(): number {
    return this.active.size;
  }

  /** Share of the KV cache held by running sequences, 0..1. Cached prefixes of finished sequences do not count: they can be evicted. */
  get kvUsage(): number {
    let blocks = 0;
    for (const s of this.active.values()) blocks += Math.ceil((s.promptTokens + s.generated) / this.timing.blockTokens);
    return Math.min(1, blocks / this.timing.kvBlocks);
  }

  get prefixTotals(): PrefixTotals {
    return { queriedTokens: this.queriedTokens, hitTokens: this.hitTokens };
  }

  submit(spec: SequenceSpec): void {
    const kvBlocks = Math.ceil((spec.promptTokens + spec.outputTokens) / this.timing.blockTokens);
    this.queue.push({ ...spec, kvBlocks, cachedTokens: 0, prefillLeft: spec.promptTokens, generated: 0 });
  }

  /** Removes a sequence wherever it is; its slot is free from the next iteration on. False when it is unknown or already complete. */
  cancel(id: number): boolean {
    const at = this.queue.findIndex((sequence) => sequence.id === id);
    if (at >= 0) {
      this.queue.splice(at, 1);
      return true;
    }
    const sequence = this.active.get(id);
    if (sequence === undefined) return false;
    this.release(sequence);
    return true;
  }

  /** Admits what fits and plans the next iteration; undefined when there is nothing to do. Error when an iteration is already open. */
  begin(): Iteration | undefined {
    if (this.work !== undefined) throw new Error("begin() while an iteration is open: call complete() first");
    this.admit();
    if (this.active.size === 0) return undefined;

    const work: PlannedWork[] = [];
    let budget = this.timing.maxIterationTokens;
    let prefillTokens = 0;
    // Decodes come first: a long prompt may slow running answers down, but must not stop them.
    for (const sequence of this.active.values()) {
      if (sequence.prefillLeft > 0 || budget === 0) continue;
      work.push({ sequence, chunk: 0 });
      budget--;
    }
    const decodeSequences = work.length;
    for (const sequence of this.active.values()) {
      if (sequence.prefillLeft === 0 || budget === 0) continue;
      const chunk = Math.min(sequence.prefillLeft, budget);
      work.push({ sequence, chunk });
      budget -= chunk;
      prefillTokens += chunk;
    }
    this.work = work;
    const { iterationMs, prefillMsPerToken, decodeMsPerSequence } = this.timing;
    const durationMs = iterationMs + prefillMsPerToken * prefillTokens + decodeMsPerSequence * decodeSequences;
    return { durationMs, prefillTokens, decodeSequences };
  }

  /** Ends the open iteration and returns its tokens, in admission order per kind of work. */
  complete(): TokenEvent[] {
    const work = this.work ?? [];
    this.work = undefined;
    const tokens: TokenEvent[] = [];
    for (const { sequence, chunk } of work) {
      if (this.active.get(sequence.id) !== sequence) continue; // cancelled meanwhile
      if (chunk > 0) {
        sequence.prefillLeft -= chunk;
        if (sequence.prefillLeft > 0) continue;
        this.cache.insert(sequence.blocks, this.cacheCapacity());
      }
      const index = sequence.generated++;
      const last = sequence.generated >= sequence.outputTokens;
      tokens.push({ id: sequence.id, index, last, cachedTokens: sequence.cachedTokens });
      if (last) this.release(sequence);
    }
    return tokens;
  }

  private admit(): void {
    for (;;) {
      const next = this.queue[0];
      if (next === undefined || this.active.size >= this.timing.maxSequences) return;
      // A request larger than the whole cache still runs, alone; room for the whole answer is reserved, so nothing is ever preempted.
      const fits = this.reservedBlocks + next.kvBlocks <= this.timing.kvBlocks;
      if (!fits && this.active.size > 0) return;
      this.queue.shift();
      const cachedTokens = this.cache.match(next.blocks) * this.timing.blockTokens;
      // The last prompt token is always computed: its output is the first token of the answer.
      next.cachedTokens = Math.max(0, Math.min(cachedTokens, next.promptTokens - 1));
      next.prefillLeft = Math.max(1, next.promptTokens - next.cachedTokens);
      this.queriedTokens += next.promptTokens;
      this.hitTokens += next.cachedTokens;
      this.reservedBlocks += next.kvBlocks;
      this.active.set(next.id, next);
    }
  }

  private release(sequence: Sequence): void {
    this.active.delete(sequence.id);
    this.reservedBlocks -= sequence.kvBlocks;
  }

  /** Blocks that prefixes may hold: everything except the answers being written. */
  private cacheCapacity(): number {
    let answers = 0;
    for (const s of this.active.values()) answers += Math.ceil(s.generated / this.timing.blockTokens);
    return Math.max(0, this.timing.kvBlocks - answers);
  }
}
