/**
 * A key for the hash that nobody outside of this Envoy knows: without one, whoever may choose questions could look for two that share an answer.
 *
 * The worker that comes first draws it and puts it into shared data; it lasts as long as the Envoy.
 */
import { Bytes, random, scratch, sharedData, Status } from "../sdk";

const KEY = Bytes.literal("tm.pc.secret");
/** A version for keys that are missing: such a write succeeds only for the first. */
const MISSING: u32 = 0xffffffff;
const SIZE: i32 = 16;

const drawn = memory.data(16);
const value = new Bytes();

export namespace envoySecret {
  export let low: u64 = 0;
  export let high: u64 = 0;

  /** Up to three hostcalls, for the configuration. Zeros when the host keeps nothing: then all workers have these. */
  export function fetch(): void {
    const mark = scratch.mark();
    if (!read()) {
      store<u64>(drawn, random.bits());
      store<u64>(drawn, random.bits(), 8);
      value.set(drawn, SIZE);
      sharedData.set(KEY, value, MISSING);
      if (!read()) {
        low = 0;
        high = 0;
      }
    }
    scratch.rewind(mark);
  }

  function read(): bool {
    if (sharedData.get(KEY, value) != Status.Ok || value.len != SIZE) return false;
    low = load<u64>(value.ptr);
    high = load<u64>(value.ptr, 8);
    return true;
  }
}
