/** Requests that wait for room in their budgets, in the order in which they came. */
import { Exchange } from "../pipeline/exchange";

/** Requests of a VM that wait at the same time. */
const MOST: i32 = 1024;

@final
export class RequestQueue {
  private readonly exchanges: Exchange[] = [];
  /** Where the next round begins. */
  private next: i32 = 0;

  get length(): i32 {
    return this.exchanges.length;
  }

  /** In the order in which they came; the caller keeps `0 <= index < length`. */
  at(index: i32): Exchange {
    return unchecked(this.exchanges[index]);
  }

  /** False when too many wait already. */
  add(exchange: Exchange): bool {
    if (this.exchanges.length >= MOST) return false;
    this.exchanges.push(exchange);
    return true;
  }

  /** O(length). */
  remove(exchange: Exchange): void {
    const at = this.exchanges.indexOf(exchange);
    if (at < 0) return;
    this.exchanges.splice(at, 1);
    if (at < this.next) this.next--;
  }

  /**
   * How many turns there are now, at most `most`. When all have one, the first request has the first, whoever had the last one before: room that is free goes to the one that waits longest. A longer
   * queue goes on where it was.
   */
  begin(most: i32): i32 {
    if (this.exchanges.length <= most) this.next = 0;
    return min(this.exchanges.length, most);
  }

  /** The next one; after the last comes the first. Null when there is none. */
  turn(): Exchange | null {
    if (this.exchanges.length == 0) return null;
    if (this.next >= this.exchanges.length) this.next = 0;
    return unchecked(this.exchanges[this.next++]);
  }
}
