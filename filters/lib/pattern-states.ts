/**
 * The states of one automaton, in memory of fixed size: found by their members, added, and all forgotten when there is no more room.
 *
 * Layout, offsets of 16 bits:
 *   0    heads of 256 hash chains, u16 each
 *   512  states, one behind the other:
 *          next in the chain u16 | members u16 | what they wait for u16 | offset of the chain u16 | row | members: instructions, u16 each, ascending
 * The offset of a state is that of its row: a u16 for each kind of character, the state that comes next. Offsets below 512 are no states.
 */

/** In a row: not worked out yet. */
export const UNKNOWN: u32 = 0;
/** There is a match, whatever comes. */
export const MATCHED: u32 = 1;
/** There is none, whatever comes. */
export const DEAD: u32 = 2;
/** Offsets from here on are states. */
export const FIRST_STATE: u32 = 512;

const HEAD: u32 = 8;
/** Room for this many of the largest states, within these bounds. */
const ROOMY: u32 = 64;
const LEAST_ROOM: u32 = 4096;
const MOST_ROOM: u32 = 65536 - FIRST_STATE;

@final
export class PatternStates {
  /** States added so far, and times that all were forgotten. */
  built: u32 = 0;
  flushes: u32 = 0;
  /** Where offset 0 is. */
  readonly memory: usize;

  private readonly bytes: StaticArray<u8>;
  private readonly rowBytes: u32;
  /** Behind the last state, and behind the last one of those that are never forgotten. */
  private top: u32 = FIRST_STATE;
  private keptEnd: u32 = FIRST_STATE;

  /** `kinds` of characters; `members`: of the largest state. */
  constructor(kinds: i32, members: i32) {
    const rowBytes: u32 = (kinds * 2 + 3) & ~3;
    const room = max(LEAST_ROOM, min(MOST_ROOM, ROOMY * sizeOf(rowBytes, members)));
    const bytes = new StaticArray<u8>(FIRST_STATE + room);
    this.rowBytes = rowBytes;
    this.bytes = bytes;
    this.memory = changetype<usize>(bytes);
  }

  /** Bytes of memory. */
  get size(): i32 {
    return this.bytes.length;
  }

  /** All states are below this offset. */
  get end(): u32 {
    return this.top;
  }

  /** The states there are stay for ever. A few: there must be room for one more. */
  keepAll(): void {
    this.keptEnd = this.top;
  }

  countOf(state: u32): i32 {
    return <i32>load<u16>(this.memory + state - HEAD, 2);
  }

  waitsOf(state: u32): u32 {
    return <u32>load<u16>(this.memory + state - HEAD, 4);
  }

  membersOf(state: u32): usize {
    return this.memory + state + this.rowBytes;
  }

  /** The state that follows; `UNKNOWN` when nobody noted it. */
  nextOf(state: u32, kind: i32): u32 {
    return <u32>load<u16>(this.memory + state + (<usize>kind << 1));
  }

  /** Notes what follows a state that was there when so many flushes had been: after another one its place may be that of a new state. */
  note(state: u32, kind: i32, next: u32, flushes: u32): void {
    if (flushes == this.flushes) store<u16>(this.memory + state + (<usize>kind << 1), <u16>next);
  }

  /** The state with these members, u16 each; added when there is none. O(members). */
  of(members: usize, count: i32, waits: u32, hash: u64): u32 {
    const chain = <u32>(hash >> 56) << 1;
    for (let state = this.headOf(chain); state != UNKNOWN; state = <u32>load<u16>(this.memory + state - HEAD)) {
      const same =
        this.countOf(state) == count &&
        this.waitsOf(state) == waits &&
        memory.compare(this.membersOf(state), members, <usize>count << 1) == 0;
      if (same) return state;
    }
    const size = sizeOf(this.rowBytes, count);
    if (this.top + size > <u32>this.bytes.length) this.forget();
    const state = this.top + HEAD;
    this.top += size;
    const at = this.memory + state;
    store<u16>(at - HEAD, <u16>count, 2);
    store<u16>(at - HEAD, <u16>waits, 4);
    store<u16>(at - HEAD, <u16>chain, 6);
    memory.copy(this.membersOf(state), members, <usize>count << 1);
    this.open(state);
    this.built++;
    return state;
  }

  private headOf(chain: u32): u32 {
    return <u32>load<u16>(this.memory + chain);
  }

  /** Puts a state into its chain, with an empty row. */
  private open(state: u32): void {
    const at = this.memory + state;
    const chain = <u32>load<u16>(at - HEAD, 6);
    store<u16>(at - HEAD, <u16>this.headOf(chain));
    store<u16>(this.memory + chain, <u16>state);
    memory.fill(at, 0, this.rowBytes);
  }

  private forget(): void {
    memory.fill(this.memory, 0, FIRST_STATE);
    this.top = FIRST_STATE;
    while (this.top < this.keptEnd) {
      const state = this.top + HEAD;
      this.open(state);
      this.top += sizeOf(this.rowBytes, this.countOf(state));
    }
    this.flushes++;
  }
}

/** Bytes of a state. */
function sizeOf(rowBytes: u32, members: i32): u32 {
  return HEAD + rowBytes + (((<u32>members << 1) + 3) & ~3);
}
