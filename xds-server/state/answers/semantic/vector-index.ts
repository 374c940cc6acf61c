/**
 * The nearest stored question of a partition, found by looking at all of them: exact, and at a thousand vectors of 384 numbers under a millisecond. Partitions have a
 * bounded number of questions, and all of them together bounded bytes: what was not of use for longest goes first.
 *
 * A partition's vectors lie one behind the other in one block, which grows twofold:   slot 0 [ 384 x f32 ]   slot 1 [ 384 x f32 ]   ...
 */
import type { Wording } from "./wording.ts";

export interface Question {
  /** Of its answer: 32 hex digits. */
  readonly key: string;
  /** Of unit length. */
  readonly vector: Float32Array;
  readonly wording: Wording;
  /** Of its record where vectors are shared; "" elsewhere. */
  readonly id: string;
}

export interface NearQuestion {
  readonly key: string;
  /** Cosine in thousandths, rounded down. */
  readonly permille: number;
  readonly wording: Wording;
  readonly id: string;
}

export interface VectorIndexOptions {
  /** Questions of one partition. */
  readonly maxQuestions: number;
  /** Of all partitions; one that has more by itself stays. */
  readonly maxBytes: number;
}

/** What Node takes for a question besides its vector and words, and for a partition. */
const QUESTION_BYTES = 400;
const PARTITION_BYTES = 400;
const FIRST_SLOTS = 4;
/** A vector of 32-bit numbers is not quite as near to itself as 1. */
const ROUNDING = 1e-3;

interface Slot {
  readonly slot: number;
  readonly wording: Wording;
  readonly id: string;
}

interface Partition {
  dimensions: number;
  block: Float32Array;
  /** Slots that nothing lies in, below `used`. */
  readonly free: number[];
  used: number;
  /** By key; what was of use last stands last. */
  readonly questions: Map<string, Slot>;
  bytes: number;
  /** How far it has been read where vectors are shared. */
  cursor: string;
}

export class VectorIndex {
  readonly #options: VectorIndexOptions;
  /** What was asked for last stands last. */
  readonly #partitions = new Map<string, Partition>();
  #bytes = 0;
  #questions = 0;

  constructor(options: VectorIndexOptions) {
    this.#options = options;
  }

  get partitions(): number {
    return this.#partitions.size;
  }

  get questions(): number {
    return this.#questions;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Questions of a partition. */
  count(partition: string): number {
    return this.#partitions.get(partition)?.questions.size ?? 0;
  }

  /** How far a partition has been read; "" when it has not. */
  cursor(partition: string): string {
    return this.#partitions.get(partition)?.cursor ?? "";
  }

  setCursor(partition: string, cursor: string): void {
    this.#touch(partition).cursor = cursor;
    this.#shrink();
  }

  /** Id of the record of a question; "" when there is none. */
  id(partition: string, key: string): string {
    return this.#partitions.get(partition)?.questions.get(key)?.id ?? "";
  }

  /** Replaces what it knows of the key. Vectors of another size are of another model: they go. */
  add(partition: string, question: Question): void {
    const { key, vector, wording, id } = question;
    const held = this.#touch(partition);
    if (held.dimensions !== vector.length) this.#empty(held, vector.length);
    this.#drop(held, key);
    if (held.questions.size >= this.#options.maxQuestions) this.#drop(held, held.questions.keys().next().value ?? "");
    const slot = held.free.pop() ?? held.used++;
    if ((slot + 1) * held.dimensions > held.block.length) this.#grow(held);
    held.block.set(vector, slot * held.dimensions);
    held.questions.set(key, { slot, wording, id });
    this.#questions++;
    this.#count(held, bytesOf(wording));
    this.#shrink();
  }

  remove(partition: string, key: string): void {
    const held = this.#partitions.get(partition);
    if (held !== undefined) this.#drop(held, key);
  }

  /** It was of use. */
  use(partition: string, key: string): void {
    const questions = this.#partitions.get(partition)?.questions;
    const slot = questions?.get(key);
    if (questions === undefined || slot === undefined) return;
    questions.delete(key);
    questions.set(key, slot);
  }

  /** Questions at least so near, the nearest first. O(questions x numbers). @param vector of unit length */
  nearest(partition: string, vector: Float32Array, permille: number): readonly NearQuestion[] {
    const held = this.#partitions.get(partition);
    if (held === undefined || held.dimensions !== vector.length) return [];
    this.#touch(partition);
    const found: NearQuestion[] = [];
    for (const [key, { slot, wording, id }] of held.questions) {
      const near = Math.min(1_000, Math.floor(dot(vector, held.block, slot * vector.length) * 1_000 + ROUNDING));
      if (near >= permille) found.push({ key, permille: near, wording, id });
    }
    return found.sort((one, other) => other.permille - one.permille);
  }

  #touch(partition: string): Partition {
    const held = this.#partitions.get(partition) ?? {
      dimensions: 0,
      block: new Float32Array(0),
      free: [],
      used: 0,
      questions: new Map<string, Slot>(),
      bytes: 0,
      cursor: "",
    };
    if (!this.#partitions.delete(partition)) this.#count(held, PARTITION_BYTES);
    this.#partitions.set(partition, held);
    return held;
  }

  #drop(held: Partition, key: string): void {
    const question = held.questions.get(key);
    if (question === undefined) return;
    held.questions.delete(key);
    held.free.push(question.slot);
    this.#questions--;
    this.#count(held, -bytesOf(question.wording));
  }

  #empty(held: Partition, dimensions: number): void {
    for (const key of [...held.questions.keys()]) this.#drop(held, key);
    this.#count(held, -held.block.byteLength);
    held.free.length = 0;
    held.used = 0;
    held.block = new Float32Array(0);
    held.dimensions = dimensions;
  }

  #grow(held: Partition): void {
    const slots = Math.min(
      this.#options.maxQuestions,
      Math.max(FIRST_SLOTS, 2 * (held.block.length / held.dimensions)),
    );
    const block = new Float32Array(slots * held.dimensions);
    block.set(held.block);
    this.#count(held, block.byteLength - held.block.byteLength);
    held.block = block;
  }

  #count(held: Partition, bytes: number): void {
    held.bytes += bytes;
    this.#bytes += bytes;
  }

  #shrink(): void {
    for (const [partition, held] of this.#partitions) {
      if (this.#bytes <= this.#options.maxBytes || this.#partitions.size === 1) return;
      this.#bytes -= held.bytes;
      this.#questions -= held.questions.size;
      this.#partitions.delete(partition);
    }
  }
}

const bytesOf = ({ fixed, content }: Wording): number => QUESTION_BYTES + fixed.byteLength + content.byteLength;

/** Four sums, so that none waits for the one before. */
function dot(one: Float32Array, block: Float32Array, from: number): number {
  const { length } = one;
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let index = 0;
  for (; index + 4 <= length; index += 4) {
    a += at(one, index) * at(block, from + index);
    b += at(one, index + 1) * at(block, from + index + 1);
    c += at(one, index + 2) * at(block, from + index + 2);
    d += at(one, index + 3) * at(block, from + index + 3);
  }
  for (; index < length; index++) a += at(one, index) * at(block, from + index);
  return a + b + c + d;
}

/** Within bounds. */
const at = (numbers: Float32Array, index: number): number => numbers[index] as number;
