/**
 * Tells other workers what became of a flight that they wait for, by a shared queue for each number of a worker (worker-slots.ts).
 *
 *   queue "tm.pf.1.<scope>.q" + digit of the number
 *   letter    |magic u32|kind u8|number u8|0 u8 x 2|key u64 x 2|                                     24 bytes, little-endian
 *             ... |where the answer can be read along u64 x 2|                                       40 bytes, of that kind
 *
 * Envoy keeps what is put into a queue until somebody takes it out, and queues cannot be removed. So only who is there gets letters, at most one for each time that it said it waits; and who gets a
 * number takes over its queue, with what lies in it. A letter is a hint: whoever gets none finds in shared data what it would have said.
 */
import { Bytes, scratch, sharedQueue, Status } from "../sdk";
import { flightKey } from "./flight-sets";
import { keyDigit, MAX_WORKERS } from "./worker-slots";

const LETTER: i32 = 24;
const LIVE_LETTER: i32 = 40;
const MAGIC: u32 = 0x314d6d74;

/** Kinds besides those of `FlightOutcome`. */
export const enum Letter {
  /** Followers of the worker with `number` want to read along. */
  Wanted = 16,
  /** The answer can be read along, at `liveLow` and `liveHigh`. */
  Live = 17,
}

@final
export class FlightMail {
  /** The queue of this worker; 0: none. */
  queue: u32 = 0;
  /** Letters that could not be sent. */
  unsent: u64 = 0;

  /** Of the letter that `take` found. */
  kind: i32 = 0;
  low: u64 = 0;
  high: u64 = 0;
  number: i32 = 0;
  liveLow: u64 = 0;
  liveHigh: u64 = 0;

  /** By number; 0: not known yet. */
  private readonly queues: StaticArray<u32> = new StaticArray<u32>(MAX_WORKERS);
  private readonly name: Bytes;
  private readonly own: Bytes = new Bytes();
  private readonly letter: StaticArray<u8> = new StaticArray<u8>(LIVE_LETTER);
  private readonly view: Bytes = new Bytes();
  private readonly taken: Bytes = new Bytes();

  constructor(scope: u64) {
    this.name = flightKey(scope, ".q_");
  }

  /** From now on this root gets the letters to the number. One hostcall. */
  open(slot: i32): void {
    this.setName(slot);
    this.queue = sharedQueue.register(this.name) == Status.Ok ? sharedQueue.lastId() : 0;
  }

  /** Two hostcalls for the first letter to a number, then one. `number`: with `Wanted`; `liveLow` and `liveHigh`: with `Live`. */
  send(slot: i32, kind: i32, low: u64, high: u64, number: i32 = 0, liveLow: u64 = 0, liveHigh: u64 = 0): void {
    const letter = changetype<usize>(this.letter);
    store<u32>(letter, MAGIC);
    store<u32>(letter, <u32>kind | (<u32>number << 8), 4);
    store<u64>(letter, low, 8);
    store<u64>(letter, high, 16);
    store<u64>(letter, liveLow, 24);
    store<u64>(letter, liveHigh, 32);
    this.view.set(letter, kind == Letter.Live ? LIVE_LETTER : LETTER);
    let queue = unchecked(this.queues[slot]);
    // A queue is gone when all VMs were gone for a moment; it has another id then.
    if (queue != 0 && sharedQueue.enqueue(queue, this.view) == Status.Ok) return;
    this.setName(slot);
    queue = sharedQueue.resolve(this.own, this.name) == Status.Ok ? sharedQueue.lastId() : 0;
    unchecked((this.queues[slot] = queue));
    if (queue == 0 || sharedQueue.enqueue(queue, this.view) != Status.Ok) this.unsent++;
  }

  /** Takes the next letter; false when there is none. One hostcall. What is no letter has a kind that there is not. */
  take(): bool {
    const mark = scratch.mark();
    const letter = this.taken;
    const found = this.queue != 0 && sharedQueue.dequeue(this.queue, letter) == Status.Ok;
    const known = found && letter.len >= LETTER && load<u32>(letter.ptr) == MAGIC;
    const kind = known ? <i32>load<u8>(letter.ptr, 4) : -1;
    const number = known ? <i32>(load<u32>(letter.ptr, 4) >> 8) : 0;
    const live = kind == Letter.Live;
    const valid = known && letter.len == (live ? LIVE_LETTER : LETTER) && (number == 0 || (kind == Letter.Wanted && number < MAX_WORKERS));
    this.kind = valid ? kind : -1;
    this.number = number;
    this.liveLow = valid && live ? load<u64>(letter.ptr, 24) : 0;
    this.liveHigh = valid && live ? load<u64>(letter.ptr, 32) : 0;
    this.low = valid ? load<u64>(letter.ptr, 8) : 0;
    this.high = valid ? load<u64>(letter.ptr, 16) : 0;
    scratch.rewind(mark);
    return found;
  }

  private setName(slot: i32): void {
    store<u8>(this.name.ptr + <usize>(this.name.len - 1), keyDigit(slot));
  }
}
