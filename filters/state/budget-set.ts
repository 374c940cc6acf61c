/**
 * One value of the store: a set of entries, the one used last first. All zero is a free entry, which is an idle one of hash 0.
 *
 *   set     |entry| x WAYS
 *   entry   |hash low u64|hash high u64|idleAt u32|serial u32|meters ...|      rounded up to 32 bytes, so that a limit more or less mostly leaves the layout
 *
 *   idleAt  seconds since the epoch from which on all meters are empty; so an entry can be judged without its rule
 *   serial  the version of the set when the entry was made: tells an entry from a later one with the same hash
 *
 * Any bytes are a set: what is wrong in them makes counts wrong, nothing more.
 */

/** Entries of a set. A read costs about a microsecond because the host re-enters the VM, a kilobyte more costs a twentieth of that: so sets are large, and few overflow (table in budget-store.ts). */
export const WAYS: i32 = 16;

const HEADER: i32 = 24;

/** Bytes of an entry with so many bytes of meters. */
export function entryBytes(meters: i32): i32 {
  return (HEADER + meters + 31) & ~31;
}

/** Entries at fixed distances; holds no bytes itself. All costs O(WAYS). */
@final
export class BudgetSet {
  readonly bytes: i32;
  private readonly spare: StaticArray<u8>;

  constructor(private readonly stride: i32) {
    this.bytes = stride * WAYS;
    this.spare = new StaticArray<u8>(stride);
  }

  /** Where the entry of a hash is; 0 when there is none. */
  find(set: usize, low: u64, high: u64): usize {
    const end = set + <usize>this.bytes;
    for (let entry = set; entry < end; entry += <usize>this.stride) {
      if (load<u64>(entry) == low && load<u64>(entry, 8) == high) return entry;
    }
    return 0;
  }

  /** Where a new entry goes: the idle one, a free one too, that was not used for longest, else the one that was not used for longest. */
  victim(set: usize, now: u32): usize {
    const last = set + <usize>(this.bytes - this.stride);
    for (let entry = last; entry >= set; entry -= <usize>this.stride) if (!isLive(entry, now)) return entry;
    return last;
  }

  /** Makes the entry an untouched one of that hash. */
  clear(entry: usize, low: u64, high: u64, serial: u32): void {
    memory.fill(entry, 0, this.stride);
    store<u64>(entry, low);
    store<u64>(entry, high, 8);
    setSerial(entry, serial);
  }

  /** The entry was used and will be idle at that time; it becomes the first. */
  touch(set: usize, entry: usize, idleAt: u32): void {
    store<u32>(entry, idleAt, 16);
    if (entry == set) return;
    const stride = <usize>this.stride;
    const spare = changetype<usize>(this.spare);
    memory.copy(spare, entry, stride);
    memory.copy(set + stride, set, entry - set);
    memory.copy(set, spare, stride);
  }
}

@inline
export function serialOf(entry: usize): u32 {
  return load<u32>(entry, 20);
}

/** Claims that know another serial hold nothing of the entry any more. */
@inline
export function setSerial(entry: usize, serial: u32): void {
  store<u32>(entry, serial, 20);
}

@inline
export function metersOf(entry: usize): usize {
  return entry + <usize>HEADER;
}

/** Dropping it would lose a count. */
@inline
export function isLive(entry: usize, now: u32): bool {
  return load<u32>(entry, 16) > now;
}
