/**
 * Sets of equal size under a fixed number of keys of shared data: "tm.rl.<version><layout>.<set>".
 *
 * A write holds when nobody wrote since the read (compare and swap). Whoever comes first makes a set: a write with a version that no set ever has succeeds only when the key is missing. So nothing
 * is prepared, and unused sets cost nothing.
 */
import { Bytes, sharedData, Status } from "../sdk";

/** A version for keys that are missing. Envoy counts versions up from 1 and over all keys. */
const MISSING: u32 = 0xffffffff;
/** Most sets that the three digits of a key can tell apart. */
const MOST_SETS: i32 = 1 << 18;
const KEY: string = "tm.rl.1";

/** One set at a time: `load` borrows it until the scratch arena is rewound, `save` writes it back. */
@final
export class SetStorage {
  /** The set that was loaded, and its version. */
  readonly value: Bytes = new Bytes();
  version: u32 = 0;
  /** The most bytes of shared data that keys and values take. */
  readonly bytes: i64;

  private readonly sets: i32;
  private readonly key: Bytes = Bytes.literal(KEY + "____.___");
  /** What a missing set is. */
  private readonly blank: StaticArray<u8>;

  /** `stride`: bytes of an entry, a multiple of 32: another one lies under other keys, as does another number of sets. */
  constructor(
    sets: i32,
    private readonly setBytes: i32,
    stride: i32,
  ) {
    this.sets = max(1, min(sets, MOST_SETS));
    this.blank = new StaticArray<u8>(setBytes);
    const digits = this.key.ptr + <usize>KEY.length;
    store<u8>(digits, digit(stride >> 5));
    writeDigits(digits + 1, this.sets - 1);
    this.bytes = <i64>this.sets * <i64>(setBytes + this.key.len);
  }

  /** Puts the set of the hash, or a blank one, into `value`. False when the host refuses. */
  load(hash: u64): bool {
    const number = <i32>(((hash & 0xffffffff) * <u64>this.sets) >> 32);
    writeDigits(this.key.ptr + <usize>(this.key.len - 3), number);
    const status = sharedData.get(this.key, this.value);
    this.version = status == Status.Ok ? sharedData.cas() : MISSING;
    if (status == Status.Ok) return this.value.len == this.setBytes;
    if (status != Status.NotFound) return false;
    const blank = changetype<usize>(this.blank);
    memory.fill(blank, 0, this.setBytes);
    this.value.set(blank, this.setBytes);
    return true;
  }

  /** `CasMismatch`: somebody else has written since. */
  save(): Status {
    return sharedData.set(this.key, this.value, this.version);
  }
}

/** One of 64 printable characters: "0" to "o". */
@inline
function digit(value: i32): u8 {
  return <u8>(48 + (value & 63));
}

function writeDigits(at: usize, value: i32): void {
  store<u8>(at, digit(value >> 12));
  store<u8>(at, digit(value >> 6), 1);
  store<u8>(at, digit(value), 2);
}
